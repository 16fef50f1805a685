"""Whether operators, widths and depths matter on the generated scenes: networks that differ in one thing, trained."""
