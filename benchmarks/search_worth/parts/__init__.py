"""What the study does: the jobs of each part, and what they share."""
