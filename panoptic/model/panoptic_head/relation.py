"""SOGNet's relation between instances (Yang et al. 2020, section 3.2): who lies upon whom, from classes and boxes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autopanoptic.panoptic.model.precision import in_full_precision


class Relation(nn.Module):
    """How much each instance has to give way to each other: O = ReLU(R - R^T).

    R_ij is the sigmoid of a linear function of an embedding of two classes, ReLU(U c_i) * ReLU(V c_j) with one-hot c,
    and of one of two boxes: the other's centre and the logarithms of its width and height, seen from the first one and
    measured by it, through a linear layer and ReLU. Layers have no bias but that of the boxes.

    Args:
        num_things: T.
        classes: Width of the classes' embedding.
        boxes: Width of the boxes' embedding.
    """

    def __init__(self, num_things: int, classes: int = 256, boxes: int = 128) -> None:
        super().__init__()
        self.subject = nn.Linear(num_things, classes, bias=False)
        self.object = nn.Linear(num_things, classes, bias=False)
        self.geometry = nn.Linear(4, boxes)
        self.score = nn.Linear(classes + boxes, 1, bias=False)

    def forward(self, boxes: Tensor, labels: Tensor) -> Tensor:
        """Return O of the instances of one image.

        Args:
            boxes: (n, 4), x1, y1, x2, y2 in any unit.
            labels: (n,), 1..T.

        Returns:
            (n, n), 0 to 1; of O_ij and O_ji one is 0, and O_ii is 0. O_ij > 0 takes from i what belongs to j.
        """
        relation = self.logits(boxes, labels).sigmoid()
        return (relation - relation.T).relu()

    def logits(self, boxes: Tensor, labels: Tensor) -> Tensor:
        """Return R before its sigmoid, (n, n)."""
        # A layer's image of a one-hot vector is a column of its weight.
        subject, other = (layer.weight.T[labels - 1].relu() for layer in (self.subject, self.object))
        of_classes, of_boxes = torch.split(self.score.weight[0], [subject.shape[1], self.geometry.out_features])
        # O is a difference of probabilities, of which 8 bits would leave little.
        with in_full_precision(boxes.device):
            # The score is linear, so that of the product of two embeddings is a product of matrices.
            scores: Tensor = (subject * of_classes) @ other.T + self.geometry(offsets(boxes)).relu() @ of_boxes
        return scores


def offsets(boxes: Tensor) -> Tensor:
    """((x_j - x_i) / w_i, (y_j - y_i) / h_i, ln(w_j / w_i), ln(h_j / h_i)) of boxes' centres: (n, 4) to (n, n, 4)."""
    # A box without extent would be infinitely far from all others.
    extent = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-2)
    centre = (boxes[:, 2:] + boxes[:, :2]) / 2
    apart = (centre[None] - centre[:, None]) / extent[:, None]
    return torch.cat((apart, (extent[None] / extent[:, None]).log()), dim=2)
