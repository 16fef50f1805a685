"""How far long work is, on a terminal and in a log."""
