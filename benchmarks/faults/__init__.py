"""Faults that searches survive: kills, cut files, full disks and files of strangers, counted."""
