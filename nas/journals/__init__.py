"""The upkeep of journals: shown, checked, repaired and exported, by functions and by ``autopanoptic journal``."""
