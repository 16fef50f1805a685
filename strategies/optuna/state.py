"""What is inside an Optuna sampler: random states, which are seeded, parameters, which are shown, and other state."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
from optuna import samplers
from optuna.samplers import BaseSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.trial import FrozenTrial

RANDOM_STATES = (LazyRandomState, np.random.RandomState, np.random.Generator, random.Random)
STATELESS = (
    samplers.RandomSampler,
    samplers.TPESampler,
    samplers.GPSampler,
    samplers.BruteForceSampler,
    samplers.PartialFixedSampler,
)
"""Samplers that read in a study nothing but its trials."""

LEAVES = (str, bytes, int, float, type, ModuleType, np.ndarray, np.generic, *RANDOM_STATES)


def maker(given: object) -> Callable[[int], BaseSampler]:
    """Return a function that makes samplers of a seed, from such a function or from a sampler.

    Raises:
        TypeError: for what is neither, and for a sampler that cannot be copied or seeded.
    """
    if isinstance(given, BaseSampler):
        return _copier(given)
    if isinstance(given, type) or not callable(given):
        raise TypeError(f"OptunaSampler needs a sampler, such as optuna.samplers.TPESampler(), not {given!r}.")

    def make(seed: int) -> BaseSampler:
        found = given(seed)
        if not isinstance(found, BaseSampler):
            raise TypeError(f"The function must make an Optuna sampler of a seed, but it made {found!r}.")
        return found

    return make


def _copier(sampler: BaseSampler) -> Callable[[int], BaseSampler]:
    remedy = "Give OptunaSampler a function of a seed that makes it."
    try:
        example = copy.deepcopy(sampler)
    except Exception as problem:
        raise TypeError(f"{type(sampler).__name__} cannot be copied ({problem}). {remedy}") from problem
    if not reseed(example, np.random.default_rng(0)):
        raise TypeError(f"No random state was found in the attributes of {type(sampler).__name__}. {remedy}")
    for part in parts(example):
        if isinstance(part, samplers.QMCSampler) and not part._scramble:
            part._seed = 0  # drawn at random and not used; it would make every repr another
    return lambda seed: copy.deepcopy(example)


def check_sampler(sampler: BaseSampler) -> None:
    """Refuse a sampler that cannot go on from a history.

    Raises:
        TypeError: when it keeps what a history does not tell.
        ValueError: when a study has used it.
        ImportError: when it needs a package that is not installed.
    """
    for part in parts(sampler):
        if isinstance(part, samplers.GridSampler):
            raise TypeError("GridSampler notes in the study which point each trial is. Use GridSearch() instead.")
        if isinstance(part, samplers.CmaEsSampler):
            _check_cma(part)
        if getattr(part, "_constraints_func", None) is not None:
            raise TypeError(
                f"{type(sampler).__name__} has a constraints_func, which is not called here. Leave it out, and give "
                "Search the constraints."
            )
        if getattr(part, "_study_id", None) is not None:
            raise ValueError(f"This {type(sampler).__name__} has been used in a study. Give OptunaSampler a new one.")


def _check_cma(sampler: samplers.CmaEsSampler) -> None:
    if sampler._with_margin:
        raise TypeError("CmaEsSampler(with_margin=True) notes more of a trial than its options. Leave it out.")
    if find_spec("cmaes") is None:
        raise ImportError("CmaEsSampler needs the package cmaes. Install it by: pip install cmaes")


def keeps_state(sampler: BaseSampler) -> bool:
    """Return whether a sampler may write into a study what it needs later."""
    return any(isinstance(part, BaseSampler) and type(part) not in STATELESS for part in parts(sampler))


def is_from_optuna(sampler: BaseSampler) -> bool:
    """Return whether a sampler is made of Optuna's own, whose caches change no suggestion."""
    return all(type(part).__module__.startswith("optuna.") for part in parts(sampler) if isinstance(part, BaseSampler))


def searches_numbers(sampler: BaseSampler) -> bool:
    """Return whether a sampler searches the numbers among the parameters only."""
    return any(isinstance(part, samplers.CmaEsSampler) for part in parts(sampler))


def regard_constraints(sampler: BaseSampler) -> None:
    """Let a sampler regard the constraints of trials.

    It does so by itself from Optuna 5 on; before, where it has a function that works them out.
    """
    if not hasattr(FrozenTrial, "constraints"):
        for part in parts(sampler):
            if "_constraints_func" in getattr(part, "__dict__", {}):
                part._constraints_func = _noted_constraints  # type: ignore[attr-defined]


def _noted_constraints(trial: FrozenTrial) -> Sequence[float]:
    found: Sequence[float] = trial.system_attrs.get("constraints", [0.0])
    return found


def parts(whole: object) -> Iterator[object]:
    """Yield an object and, each once and in a fixed order, the objects it is made of."""
    seen: set[int] = set()
    waiting = [whole]
    while waiting:
        part = waiting.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            waiting.extend(reversed(list(_children(part))))


def _children(part: object) -> Iterable[object]:
    if isinstance(part, LEAVES):
        return ()
    if isinstance(part, Mapping):
        return part.values()
    if isinstance(part, (list, tuple)):
        return part
    return getattr(part, "__dict__", {}).values()


def reseed(sampler: BaseSampler, rng: np.random.Generator) -> int:
    """Seed every random state in a sampler, and return how many there are."""
    states = [part for part in parts(sampler) if isinstance(part, RANDOM_STATES)]
    for state in states:
        _seed(state, int(rng.integers(2**32)))
    return len(states)


def _seed(state: Any, seed: int) -> None:
    if isinstance(state, LazyRandomState):
        state.rng.seed(seed)
    elif isinstance(state, np.random.Generator):
        kind: Callable[[int], np.random.BitGenerator] = type(state.bit_generator)
        state.bit_generator.state = kind(seed).state
    else:
        state.seed(seed)


def described(sampler: BaseSampler) -> str:
    """Return a sampler as its class and the parameters that are not those of ``Class()``.

    The text holds no random state and no address: it is the same in every process.
    """
    return _text(sampler, _default_of(sampler), ())


def _default_of(sampler: BaseSampler) -> BaseSampler | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return type(sampler)()
    except Exception:  # it has parameters without defaults
        return None


def _text(value: Any, default: Any, above: tuple[int, ...]) -> str:
    if id(value) in above:
        return "..."
    if value is None or isinstance(value, (bool, int, float, str, bytes, Enum)):
        return repr(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return repr(value.tolist())
    if hasattr(value, "__qualname__"):  # classes, functions and methods, whose repr may be an address
        return f"{value.__module__}.{value.__qualname__}"
    above = (*above, id(value))
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_text(item, None, above)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)) and not hasattr(value, "_asdict"):
        return f"[{', '.join(_text(item, None, above) for item in value)}]"
    return f"{type(value).__name__}({', '.join(_fields(value, default, above))})"


def _fields(value: Any, default: Any, above: tuple[int, ...]) -> Iterator[str]:
    known = _attributes(default) if type(default) is type(value) else {}
    for name, item in _attributes(value).items():
        if name not in known or _text(item, None, above) != _text(known[name], None, above):
            yield f"{name.lstrip('_')}={_text(item, known.get(name), above)}"


def _attributes(value: Any) -> dict[str, Any]:
    found = value._asdict() if hasattr(value, "_asdict") else getattr(value, "__dict__", {})
    return {name: item for name, item in found.items() if not isinstance(item, RANDOM_STATES)}
