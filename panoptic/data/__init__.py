"""Data in the COCO panoptic format: reading, checking, batching, and generated scenes."""
