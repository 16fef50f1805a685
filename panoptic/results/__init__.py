"""What a run leaves: pictures, exported and saved networks."""
