"""How far one driver goes: its time for each trial, and how busy it keeps its workers."""
