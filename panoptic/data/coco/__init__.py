"""The COCO panoptic format: reading, checking, finding splits."""
