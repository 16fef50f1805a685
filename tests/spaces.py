"""Random search spaces for property-based tests."""

from __future__ import annotations

from hypothesis import strategies as st

from autopanoptic.nas import Choice, SearchSpace


@st.composite
def nested_spaces(draw: st.DrawFn, fewest: int = 1, most: int = 6) -> SearchSpace:
    """Spaces of a few choices in any order, each of which may depend on options of up to two others."""
    choices: list[Choice] = []
    for number in range(draw(st.integers(fewest, most))):
        conditions = []
        for parent in draw(st.lists(st.sampled_from(choices), max_size=2, unique=True)) if choices else []:
            allowed = draw(st.lists(st.sampled_from(parent.options), min_size=1, unique=True))
            conditions.append((parent.label, tuple(allowed)))
        choices.append(Choice(f"c{number}", range(draw(st.integers(1, 4))), conditions))
    return SearchSpace(draw(st.permutations(choices)))
