"""The searchable panoptic network: backbone, neck, RPN, box and mask heads, segmentation, fusion."""
