"""The labels of Cityscapes, as cityscapesScripts 2.3 has them (helpers/labels.py)."""

from __future__ import annotations

from dataclasses import dataclass

from autopanoptic.panoptic.data.categories import Categories, Category


@dataclass(frozen=True)
class Label:
    """A label that is evaluated.

    Attributes:
        id: The value in labelIds PNGs; an instance's in instanceIds PNGs is 1000 times it and a number.
        train_id: The number that networks are commonly trained with.
        name: Its name.
        isthing: Whether instances are told apart.
        color: Red, green and blue.
    """

    id: int
    train_id: int
    name: str
    isthing: bool
    color: tuple[int, int, int]


LABELS = (
    Label(7, 0, "road", False, (128, 64, 128)),
    Label(8, 1, "sidewalk", False, (244, 35, 232)),
    Label(11, 2, "building", False, (70, 70, 70)),
    Label(12, 3, "wall", False, (102, 102, 156)),
    Label(13, 4, "fence", False, (190, 153, 153)),
    Label(17, 5, "pole", False, (153, 153, 153)),
    Label(19, 6, "traffic light", False, (250, 170, 30)),
    Label(20, 7, "traffic sign", False, (220, 220, 0)),
    Label(21, 8, "vegetation", False, (107, 142, 35)),
    Label(22, 9, "terrain", False, (152, 251, 152)),
    Label(23, 10, "sky", False, (70, 130, 180)),
    Label(24, 11, "person", True, (220, 20, 60)),
    Label(25, 12, "rider", True, (255, 0, 0)),
    Label(26, 13, "car", True, (0, 0, 142)),
    Label(27, 14, "truck", True, (0, 0, 70)),
    Label(28, 15, "bus", True, (0, 60, 100)),
    Label(31, 16, "train", True, (0, 80, 100)),
    Label(32, 17, "motorcycle", True, (0, 0, 230)),
    Label(33, 18, "bicycle", True, (119, 11, 32)),
)
"""The 19 labels of the evaluation, in order."""

IGNORED = frozenset({0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30})
"""The ids of the labels that are not evaluated, such as ego vehicle, parking and caravan: they become void."""


def categories(*, train_ids: bool) -> Categories:
    """Return the 8 things and 11 stuff classes, by their ids or their train ids."""
    return Categories(
        Category(label.train_id if train_ids else label.id, label.name, label.isthing, label.color) for label in LABELS
    )
