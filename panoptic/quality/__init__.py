"""How good predictions are: panoptic quality (PQ), exact; AP of boxes and masks; IoU of the semantic branch."""
