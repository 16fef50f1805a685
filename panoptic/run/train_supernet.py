"""The second stage: the supernet of a run."""

from __future__ import annotations

from shlex import quote

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.prepare import prepared
from autopanoptic.panoptic.run.pretrained import require_pretrained
from autopanoptic.panoptic.run.taking import origin_of
from autopanoptic.panoptic.stages import supernet
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER


def train_supernet(run: Run) -> Supernet:
    """Train the supernet of a run into ``supernet/``, going on from its last checkpoint; one that is trained is read.

    Args:
        run: The run, whose data are prepared first.

    Raises:
        FileNotFoundError: If the settings have a pretraining of the supernet that is not done, or the run was to take
            that of another one, which was broken off.
        ValueError: If ``supernet/`` holds another supernet, naming what differs, or a damaged one, or if `prepare`
            refuses.
    """
    origin = origin_of(run.folder)
    if origin is not None and not (run.folder / SUPERNET_FOLDER / supernet.SUPERNET).exists():
        raise FileNotFoundError(
            f"{run.folder} is to take the supernet of {origin}, which was broken off; "
            f"`autopanoptic panoptic run --resume --name {quote(run.folder.name)}` takes it"
        )
    if run.settings.pretraining.supernet is not None:
        require_pretrained(run)
    datasets = prepared(run)
    with run.stage("supernet"):
        run.supernet = supernet.train_supernet(run.settings, datasets, run.folder / SUPERNET_FOLDER, progress=True)
    return run.supernet


def trained_supernet(run: Run) -> Supernet:
    """Return the trained supernet of a run.

    Raises:
        FileNotFoundError: If it is not trained.
        ValueError: If it was trained otherwise, naming what differs, or is damaged.
    """
    if run.supernet is None:
        require_supernet(run)
        run.supernet = supernet.train_supernet(run.settings, prepared(run), run.folder / SUPERNET_FOLDER, progress=True)
    return run.supernet


def require_supernet(run: Run) -> None:
    """Refuse to go on without a trained supernet.

    Raises:
        FileNotFoundError: Saying how it is trained.
    """
    weights = run.folder / SUPERNET_FOLDER / supernet.SUPERNET
    if not weights.exists():
        raise FileNotFoundError(
            f"there is no {weights}: the run has not trained its supernet; "
            f"`autopanoptic panoptic train-supernet --name {quote(run.folder.name)}` does"
        )
