"""What the search is worth: a study whose every finished training, search or measurement is a row."""
