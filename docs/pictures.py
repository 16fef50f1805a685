"""Makes the pictures of the README and of the documentation's first page from a finished run.

Run as ``python docs/pictures.py --run runs/NAME``; it writes ``front.png``, ``network.png`` and ``scene.png`` to
``docs/images``, with few enough colors to be small files. ``--scene N`` takes another of the images that the run drew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).parent / "images"
COLORS = 128
WIDEST = 1100
"""Pixels; what is wider is reduced to it."""


def take(source: Path, target: Path) -> Path:
    """Copy a picture with fewer pixels and colors.

    Raises:
        FileNotFoundError: If the run has not drawn it.
    """
    if not source.exists():
        raise FileNotFoundError(
            f"{source}: the run has no such picture; let it end, and search with a cost for the front"
        )
    with Image.open(source) as picture:
        small = picture.convert("RGB")
    if small.width > WIDEST:
        small = small.resize((WIDEST, round(small.height * WIDEST / small.width)), Image.Resampling.LANCZOS)
    target.parent.mkdir(parents=True, exist_ok=True)
    small.quantize(COLORS, dither=Image.Dither.NONE).save(target, optimize=True)
    return target


def pictures_of(run: Path, folder: Path = IMAGES, scene: int = 0) -> list[Path]:
    """Write the pictures of a run.

    Args:
        run: The run's folder.
        folder: Where they go.
        scene: Which of the images that the run drew.

    Raises:
        FileNotFoundError: If the run has not drawn one of them.
    """
    searched = run / "networks" / "searched"
    scenes = sorted((searched / "pictures").glob("*.png"))
    if not 0 <= scene < len(scenes):
        raise FileNotFoundError(
            f"{searched / 'pictures'} has {len(scenes)} pictures, so there is none of number {scene}"
        )
    sources = {"front": run / "front.png", "network": searched / "network.png", "scene": scenes[scene]}
    return [take(source, folder / f"{name}.png") for name, source in sources.items()]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--scene", type=int, default=0, help="which image, from 0")
    given = parser.parse_args()
    for path in pictures_of(given.run, scene=given.scene):
        print(f"{path} {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
