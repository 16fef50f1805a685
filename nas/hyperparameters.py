"""What the parts of a search that users parametrise have in common."""

from __future__ import annotations

from typing import Any

import numpy as np


class ShownHyperparameters:
    """Has a ``repr`` that shows the public attributes, by which a journal recognises its search."""

    def __repr__(self) -> str:
        parameters = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in parameters.items())})"

    def _make_plain(self) -> None:
        """Replace numpy's scalars among the attributes by Python's; also in a frozen dataclass."""
        for name, value in list(vars(self).items()):
            object.__setattr__(self, name, plain(value))


def plain(value: Any) -> Any:
    """Return numpy's scalar as Python's, and anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value
