"""The background branch: what every pixel is."""
