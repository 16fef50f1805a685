from __future__ import annotations

from autopanoptic.panoptic.run.search import precision


def test_the_largest_error_is_told_beside_the_usual_one_and_not_rounded_across_a_bar() -> None:
    text = precision("pq", [0.58, 0.72, 0.674])
    assert text == "A candidate's pq has a standard error of 0.67 over the images of nas_val, of 0.72 at most"
