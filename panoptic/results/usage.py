"""What belongs to a trained network beside its weights: its classes by name, and how images get in and out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.loading.normalization import IMAGENET, Normalization
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.results.json_files import write_object

USAGE = "usage.json"


@dataclass(frozen=True)
class Usage:
    """How a trained network is used.

    Attributes:
        categories: What its labels stand for, things and stuff each in the order of the labels.
        short_side: Images are resized to it, in pixels; None keeps their size.
        long_side: The longer side is at most this, in pixels; None for no limit.
        rules: How instances and stuff are merged.
        normalization: From pixels to what the network sees.
    """

    categories: Categories
    short_side: int | None = None
    long_side: int | None = None
    rules: MergeRules = field(default_factory=MergeRules)
    normalization: Normalization = IMAGENET

    @property
    def transform(self) -> Transform:
        """What is done to images before the network sees them."""
        return Transform(self.short_side, self.long_side, flip=0.0, normalization=self.normalization)

    def save(self, folder: Path) -> None:
        """Write ``usage.json`` into a network's folder."""
        values = {
            "categories": self.categories.to_json(),
            "short_side": self.short_side,
            "long_side": self.long_side,
            "merge": asdict(self.rules),
            "normalization": asdict(self.normalization),
        }
        write_object(folder / USAGE, values)

    @classmethod
    def load(cls, folder: Path) -> Usage:
        """Read the ``usage.json`` of a network's folder.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged; names the file.
        """
        path = folder / USAGE
        try:
            return cls._of(json.loads(path.read_bytes()))
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} is missing: it names the classes of the network beside it") from None
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error

    @classmethod
    def _of(cls, values: Mapping[str, Any]) -> Usage:
        if not isinstance(values, Mapping):
            raise ValueError(f"it must hold a JSON object, not {values!r:.80}")
        if missing := [
            key for key in ("categories", "short_side", "long_side", "merge", "normalization") if key not in values
        ]:
            raise ValueError(f"it lacks {', '.join(missing)}")
        for key in ("short_side", "long_side"):
            if values[key] is not None and type(values[key]) is not int:
                raise ValueError(f"{key} must be pixels or null, not {values[key]!r}")
        if not isinstance(values["normalization"], Mapping):
            raise ValueError(f"normalization must be an object, not {values['normalization']!r}")
        categories = Categories.from_json(values["categories"])
        given: Mapping[str, Any] = values["normalization"]
        seen: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in given.items()}
        rules, normalization = MergeRules(**values["merge"]), Normalization(**seen)
        usage = cls(categories, values["short_side"], values["long_side"], rules, normalization)
        usage.transform  # noqa: B018 - refuses sides that are out of range
        return usage
