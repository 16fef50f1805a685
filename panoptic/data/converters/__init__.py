"""Converters: data sets as they are distributed, and users' own, made into the folders that the project reads."""
