"""Shows mkdocstrings the three packages under the names that they are installed with.

The reference is read from the source without importing it, and there ``autopanoptic.nas`` is the folder ``nas/``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("nas", "strategies", "panoptic")


@event_priority(100)  # before mkdocstrings reads its configuration
def on_config(config: Any) -> Any:
    """Point mkdocstrings at links to the packages."""
    # Kept on the config, so that the folder lives as long as the build.
    config["links"] = folder = tempfile.TemporaryDirectory()
    named = Path(folder.name) / "autopanoptic"
    named.mkdir()
    for package in PACKAGES:
        (named / package).symlink_to(ROOT / package, target_is_directory=True)
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [folder.name]
    return config
