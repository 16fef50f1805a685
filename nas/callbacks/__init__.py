"""Who is told what happens in a search: logs of experiments, tables and bars."""
