"""What the parts of a search that users parametrise have in common."""

from __future__ import annotations


class ShownHyperparameters:
    """Has a ``repr`` that shows the public attributes, by which a journal recognises its search."""

    def __repr__(self) -> str:
        parameters = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in parameters.items())})"
