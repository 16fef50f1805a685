"""A folder of images by class, as ImageNet is laid out: checked before anything is trained on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from autopanoptic.panoptic.data.coco.images import read_image
from autopanoptic.panoptic.data.problems import DatasetError

SPLITS = ("train", "val")


@dataclass(frozen=True)
class ImageClasses:
    """The two splits of a classification set.

    Attributes:
        root: Their folder.
        train: What classifiers are trained on.
        val: What they are measured on; of the same classes in the same order.
    """

    root: Path
    train: ImageFolder
    val: ImageFolder

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their labels."""
        found: list[str] = self.train.classes
        return found


def open_images(root: str | Path) -> ImageClasses:
    """Open ``train/`` and ``val/``, each with a folder of images for every class (torchvision's ``ImageFolder``).

    Raises:
        FileNotFoundError: If a folder is missing.
        DatasetError: If there are no class folders, one class alone, classes without images, or other classes in val;
            names all of them.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: there is no such folder; give one with train/CLASS/ and val/CLASS/")
    for split in SPLITS:
        if not (root / split).is_dir():
            raise FileNotFoundError(f"{root / split}: there is no such folder; {root} must hold train/ and val/")
    names = {split: sorted(path.name for path in (root / split).iterdir() if path.is_dir()) for split in SPLITS}
    problems = [problem for split in SPLITS for problem in _problems(root / split, names[split])]
    if not problems and names["train"] != names["val"]:
        odd = sorted(set(names["train"]) ^ set(names["val"]))
        problems.append(f"train/ and val/ hold other classes; not in both: {', '.join(odd[:5])}")
    if problems:
        raise DatasetError(str(root), problems)
    # Torchvision's own loader says nothing of the file that it cannot read.
    train, val = (ImageFolder(str(root / split)) for split in SPLITS)
    return ImageClasses(root, train, val)


def check_images(images: ImageClasses, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Decode every image, in as many threads as there are processors.

    Args:
        images: The set.
        progress: Called with how many are done, and how many there are.

    Raises:
        DatasetError: Names the files that cannot be read, and why.
    """
    paths = [path for split in (images.train, images.val) for path, _ in split.samples]
    problems = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, problem in enumerate(pool.map(_unreadable, paths), 1):
            problems += [problem] if problem else []
            progress(done, len(paths))
    if problems:
        raise DatasetError(str(images.root), problems)


def _problems(folder: Path, classes: Sequence[str]) -> list[str]:
    if not classes:
        return [f"{folder} holds no class folders, but {_content(folder)}; it needs one folder of images a class"]
    if len(classes) == 1:
        return [f"{folder} holds one class alone, {classes[0]}; there is nothing to tell apart"]
    return [
        f"{folder / name} holds no image ({', '.join(IMG_EXTENSIONS)})" for name in classes if _empty(folder / name)
    ]


def _content(folder: Path) -> str:
    found = sorted(path.name for path in folder.iterdir())
    return f"{len(found)} files, such as {found[0]}" if found else "nothing at all"


def _empty(folder: Path) -> bool:
    """Whether a folder and those in it hold no image; ends at the first one."""
    return not any(name.lower().endswith(IMG_EXTENSIONS) for *_, files in os.walk(folder) for name in files)


def _unreadable(path: str) -> str | None:
    try:
        read_image(Path(path))
    except (ValueError, OSError) as error:
        return str(error)
    return None
