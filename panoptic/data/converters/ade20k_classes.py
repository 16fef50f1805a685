"""The 150 classes of ADE20K's challenges, and their numbers in the full release.

Names, in order, are the first of each line of objectInfo150.txt (CSAILVision/sceneparsing). The 100 things are the
classes of the instance segmentation task of the Places Challenge 2017 (instanceInfo100_train.txt of
CSAILVision/placeschallenge): class k of its masks is the k-th thing. The numbers are those of the full release of 2021,
which calls them ``name_ndx``: of things as in ade20k_instance_catid_mapping.txt, of stuff as in
register_ade20k_full.py (both of facebookresearch/Mask2Former).
"""

from __future__ import annotations

from dataclasses import dataclass

from autopanoptic.panoptic.data.categories import Categories


@dataclass(frozen=True)
class AdeClass:
    """A class of the challenges.

    Attributes:
        name: Its first name.
        isthing: Whether instances are told apart.
        numbers: In the full release.
    """

    name: str
    isthing: bool
    numbers: tuple[int, ...]


def _stuff(name: str, number: int) -> AdeClass:
    return AdeClass(name, False, (number,))


def _thing(name: str, *numbers: int) -> AdeClass:
    return AdeClass(name, True, numbers)


CLASSES = (
    _stuff("wall", 2978),
    _stuff("building", 312),
    _stuff("sky", 2420),
    _stuff("floor", 976),
    _stuff("tree", 2855),
    _stuff("ceiling", 447),
    _stuff("road", 2131),
    _thing("bed", 165),
    _thing("windowpane", 3055),
    _stuff("grass", 1125),
    _thing("cabinet", 350),
    _stuff("sidewalk", 2377),
    _thing("person", 1831),
    _stuff("earth", 838),
    _thing("door", 774, 783),
    _thing("table", 2684),
    _stuff("mountain", 1610),
    _stuff("plant", 1910),
    _thing("curtain", 687),
    _thing("chair", 471),
    _thing("car", 401),
    _stuff("water", 2994),
    _thing("painting", 1735),
    _thing("sofa", 2473),
    _thing("shelf", 2329),
    _stuff("house", 1276),
    _stuff("sea", 2264),
    _thing("mirror", 1564),
    _stuff("rug", 2178),
    _stuff("field", 913),
    _thing("armchair", 57),
    _thing("seat", 2272),
    _thing("fence", 907),
    _thing("desk", 724),
    _stuff("rock", 2138),
    _thing("wardrobe", 2985, 533),
    _thing("lamp", 1395),
    _thing("bathtub", 155),
    _thing("railing", 2053),
    _thing("cushion", 689),
    _stuff("base", 137),
    _thing("box", 266),
    _thing("column", 581),
    _thing("signboard", 2380),
    _thing("chest of drawers", 491),
    _thing("counter", 627),
    _stuff("sand", 2212),
    _thing("sink", 2388),
    _stuff("skyscraper", 2423),
    _thing("fireplace", 943),
    _thing("refrigerator", 2096),
    _stuff("grandstand", 1121),
    _stuff("path", 1788),
    _thing("stairs", 2530),
    _stuff("runway", 2185),
    _thing("case", 420),
    _thing("pool table", 1948),
    _thing("pillow", 1869),
    _thing("screen door", 2251),
    _stuff("stairway", 2531),
    _stuff("river", 2128),
    _stuff("bridge", 294),
    _thing("bookcase", 239),
    _stuff("blind", 212),
    _thing("coffee table", 571),
    _thing("toilet", 2793),
    _thing("flower", 978),
    _thing("book", 236),
    _stuff("hill", 1240),
    _thing("bench", 181),
    _thing("countertop", 629),
    _thing("stove", 2598),
    _thing("palm", 1744),
    _thing("kitchen island", 1374),
    _thing("computer", 591),
    _thing("swivel chair", 2679),
    _thing("boat", 223),
    _stuff("bar", 123),
    _thing("arcade machine", 47),
    _stuff("hovel", 1282),
    _thing("bus", 327),
    _thing("towel", 2821),
    _thing("light", 1451),
    _thing("truck", 2880),
    _stuff("tower", 2828),
    _thing("chandelier", 480),
    _thing("awning", 77),
    _thing("streetlight", 2616),
    _thing("booth", 246, 247),
    _thing("television", 2733),
    _thing("airplane", 14),
    _stuff("dirt track", 738),
    _thing("apparel", 38),
    _thing("pole", 1936),
    _stuff("land", 1401),
    _thing("bannister", 120),
    _stuff("escalator", 868),
    _thing("ottoman", 1702),
    _thing("bottle", 249),
    _stuff("buffet", 308),
    _stuff("poster", 1969),
    _stuff("stage", 2526),
    _thing("van", 2928),
    _thing("ship", 2337),
    _thing("fountain", 1023),
    _stuff("conveyer belt", 609),
    _stuff("canopy", 389),
    _thing("washer", 2989),
    _thing("plaything", 1930),
    _stuff("swimming pool", 2668),
    _thing("stool", 2586),
    _thing("barrel", 131),
    _thing("basket", 146),
    _stuff("waterfall", 3016),
    _stuff("tent", 2739),
    _thing("bag", 95),
    _thing("minibike", 1563),
    _stuff("cradle", 642),
    _thing("oven", 1708),
    _thing("ball", 103),
    _thing("food", 1002),
    _thing("step", 2569),
    _stuff("tank", 2704),
    _thing("trade name", 2833),
    _thing("microwave", 1551),
    _thing("pot", 1981),
    _thing("animal", 29),
    _thing("bicycle", 187),
    _stuff("lake", 1393),
    _thing("dishwasher", 747),
    _thing("screen", 2254),
    _stuff("blanket", 206),
    _thing("sculpture", 2262),
    _thing("hood", 1260),
    _thing("sconce", 2243),
    _thing("vase", 2932),
    _thing("traffic light", 2836),
    _thing("tray", 2850),
    _thing("ashcan", 64),
    _thing("fan", 894),
    _stuff("pier", 1858),
    _stuff("crt screen", 3109),
    _thing("plate", 1919),
    _thing("monitor", 1583),
    _thing("bulletin board", 318),
    _stuff("shower", 2356),
    _thing("radiator", 2046),
    _thing("glass", 1098),
    _thing("clock", 530),
    _thing("flag", 954),
)
"""In the order of the challenges: class i of the semantic PNGs is ``CLASSES[i - 1]``."""

THINGS = tuple(position for position, each in enumerate(CLASSES) if each.isthing)
"""Class k of the instance PNGs is ``CLASSES[THINGS[k - 1]]``."""

OF_NUMBER = {number: position for position, each in enumerate(CLASSES) for number in each.numbers}
"""The position in `CLASSES` of a number of the full release; other numbers are of no class."""


def categories() -> Categories:
    """Return the categories, whose ids are the positions in `CLASSES`, 0 to 149, as in Mask2Former."""
    entries = ({"id": i, "name": each.name, "isthing": int(each.isthing)} for i, each in enumerate(CLASSES))
    return Categories.from_json(entries)
