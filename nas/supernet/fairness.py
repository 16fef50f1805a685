"""Fair cycles: small sets of architectures in which every option of a choice stands equally often."""

from __future__ import annotations

import math

import numpy as np

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace


def cycle_length(space: SearchSpace) -> int:
    """Return the least common multiple of the choices' option counts."""
    return math.lcm(*(len(choice.options) for choice in space.choices))


def fair_cycle(space: SearchSpace, rng: np.random.Generator) -> list[Architecture]:
    """Return lcm(option counts) architectures in which each choice's options are used equally often.

    Each choice runs through random permutations of its options, independently of the others (FairNAS, Chu et al.
    2021, "strict fairness"; Auto-Panoptic, section 3.3). A conditional choice is dealt fairly before the
    architectures in which it is inactive drop it.
    """
    length = cycle_length(space)
    dealt = {}
    for choice in space.choices:
        rounds = [rng.permutation(len(choice.options)) for _ in range(length // len(choice.options))]
        dealt[choice.label] = [choice.options[index] for index in np.concatenate(rounds)]
    return [space.without_inactive({label: options[n] for label, options in dealt.items()}) for n in range(length)]
