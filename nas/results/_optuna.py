"""Optuna, which is installed by an extra."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


def require_optuna(what: str) -> None:
    """Refuse what needs Optuna where it is not installed.

    Raises:
        ImportError: tells how to install it.
    """
    if find_spec("optuna") is None:
        raise ImportError(f'{what} needs Optuna. Install it by: pip install "autopanoptic[optuna]"')


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what Optuna logs below an error, and its warnings of experimental features, for as long as it lasts."""
    import optuna
    from optuna.exceptions import ExperimentalWarning

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(verbosity, optuna.logging.ERROR))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
