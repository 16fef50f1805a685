"""Classification before panoptic segmentation: the backbone's supernet, or a found backbone, on a folder of images."""
