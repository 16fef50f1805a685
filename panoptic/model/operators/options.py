"""Names of the options, by published index (Auto-Panoptic, NeurIPS 2020); loads no torch."""

BLOCK_OPTIONS = ("shuffle3", "shuffle5", "shuffle7", "xception3")
"""Options of a backbone block: ShuffleNetV2 blocks of kernel 3, 5 and 7, and one of three separable convolutions."""

HEAD_OPTIONS = ("dw3", "dw5", "df3", "df5", "at3", "at5")
"""Options of a mask or segmentation layer: depthwise-separable, deformable and dilated ("atrous") convolutions."""

NECK_OPTIONS = ("fpn", "panet", "bifpn")
"""Necks: a feature pyramid network, PANet's and a BiFPN's."""

FUSION_OPTIONS = ("r4", "r8", "r16")
"""Options of a fusion unit: the reduction of its hidden layer."""

SEMANTIC_HEADS = ("searched", "panoptic-fpn", "upsnet")
"""Background branches: Auto-Panoptic's searched layers, Panoptic FPN's stacks, UPSNet's deformable layers."""

BOX_HEADS = ("two-fc-norm", "two-fc")
"""Box heads: two fully connected layers, each followed by group norm or not."""

MASK_HEADS = ("searched", "plain")
"""Mask heads: the searched layers of Auto-Panoptic, or plain convolutions."""

PANOPTIC_HEADS = ("merge", "upsnet", "sognet")
"""From things and stuff to a map: merged by rules, or by the panoptic logits of UPSNet or SOGNet."""

FUSIONS = ("attention", "none", "graph")
"""What connects the branches: Auto-Panoptic's attention, nothing, or graph reasoning after BGRNet."""
