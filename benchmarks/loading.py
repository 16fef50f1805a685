"""How long an image takes to load, part by part, and whether a loader keeps up with the training.

Run as ``python -m benchmarks.loading [--sample DIR] [--batches 40] [--workers 0 2] [--steps 1]``. The sample is a
folder with ``input_images/``, ``panoptic_examples/`` and ``panoptic_examples.json``, such as panopticapi's
``sample_data``; without one, generated scenes of 640 x 480 are stored as JPEGs. Images are resized to 800 x 1333, in
batches of two, as in the published training.

Decoders: milliseconds for a JPEG, of all that are installed, and the largest difference of their pixels from Pillow's.
Parts: milliseconds of a sample, on one thread. Both are of processor time, medians over repeats. Loader and training
step: images per second of a loader on one thread, of training steps (forward, losses, backward) of the space
auto-panoptic's hand-made network on the same images, on one thread or the GPU, and how many times faster the loader
is; of processor time but for the GPU. Rates: images per second of loaders with workers, of wall time; the first batch,
which starts the workers, is left out. On a machine that others use ``--batches 0`` leaves these out; processor time
means something there. A training step on a CPU takes several GB of memory; ``--steps 0`` leaves it out.

What is measured goes to benchmarks/results/loading, with the machine; the guide has the figures of these files. The
loader beside the training step has a file of its own, which ``--no-parts`` measures alone.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from autopanoptic.nas import Supernet
from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.loading.batch import Batch, LabelledBatch, collate, collate_labelled
from autopanoptic.panoptic.data.loading.batches import evaluation_batches, training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.data.scenes.draw import draw_scene
from autopanoptic.panoptic.data.scenes.kinds import CATEGORIES
from autopanoptic.panoptic.data.segments import id_to_rgb
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.mask import mask_targets
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.search.strategies import hand_made
from benchmarks.strategies.results import surroundings

SAMPLE = Path(__file__).resolve().parents[2] / "shared" / "data" / "panoptic" / "coco_sample"
NAMES = "input_images", "panoptic_examples", "panoptic_examples.json"
BATCH, DIVISOR = 2, 64
PACKAGES = "autopanoptic", "numpy", "pillow", "torchvision", "kornia_rs", "simplejpeg"
BAR = 30.0
"""Milliseconds that a sample of 800 x 1333 with its truth is to take on a thread at most."""
WHOLE, MASKS = "sample, all together", "device: masks inside boxes"
LOADER, STEP, RATIO = "loader, one thread", "training step", "loader by training step"
LOADED = 20
"""Batches over which a loader is timed beside the training step."""
FILE = Path(__file__).parent / "results" / "loading" / "coco-sample.json"
BESIDE = FILE.with_name("training-step.json")
"""Of the loader beside the training step, which may be measured on another day than the parts."""
JITTER: dict[str, Any] = {
    "scale_jitter": (0.5, 2.0),
    "brightness": 0.2,
    "contrast": 0.2,
    "saturation": 0.2,
    "hue": 0.05,
}
JITTER_ALONE: dict[str, dict[str, Any]] = {
    "scale": {"scale_jitter": JITTER["scale_jitter"]},
    "brightness, contrast and saturation": dict.fromkeys(("brightness", "contrast", "saturation"), 0.2),
    "hue": {"hue": JITTER["hue"]},
}
Decoder = Callable[[bytes], NDArray[np.uint8]]


def write_sample(folder: Path, count: int = 4) -> None:
    """Write scenes of 640 x 480 as JPEGs, named as the sample's files."""
    for name in NAMES[:2]:
        (folder / name).mkdir(parents=True)
    images, annotations = [], []
    for index in range(count):
        scene = draw_scene(np.random.default_rng(index), size=640)
        ids = scene.truth.numpy()[:480]
        Image.fromarray(scene.image[:480]).save(folder / NAMES[0] / f"{index}.jpg", quality=90)
        Image.fromarray(id_to_rgb(ids)).save(folder / NAMES[1] / f"{index}.png")
        segments = [
            {"id": one.id, "category_id": one.category_id, "area": int((ids == one.id).sum()), "iscrowd": 0}
            for one in scene.truth.segments
            if (ids == one.id).any()
        ]
        images.append({"id": index, "file_name": f"{index}.jpg", "height": 480, "width": 640})
        annotations.append({"image_id": index, "file_name": f"{index}.png", "segments_info": segments})
    content = {"images": images, "annotations": annotations, "categories": CATEGORIES.to_json()}
    (folder / NAMES[2]).write_text(json.dumps(content))


def decoders() -> Iterator[tuple[str, Decoder | str]]:
    """Every decoder, or why there is none."""
    yield "Pillow", lambda content: np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    for name, module, made in (
        ("torchvision.io", "torchvision.io", _torchvision),
        ("kornia_rs", "kornia_rs.io", lambda io_: lambda content: io_.decode_image_jpegturbo(content, "rgb")),
        ("simplejpeg (libjpeg-turbo)", "simplejpeg", lambda simple: lambda content: simple.decode_jpeg(content, "RGB")),
    ):
        try:
            yield name, made(import_module(module))
        except ImportError as error:
            yield name, f"not installed ({error})"


def _torchvision(module: Any) -> Decoder:
    def decode(content: bytes) -> NDArray[np.uint8]:
        values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        found: NDArray[np.uint8] = module.decode_jpeg(values, module.ImageReadMode.RGB).permute(1, 2, 0).numpy()
        return found

    return decode


def milliseconds(work: Callable[[], object], repeats: int = 15) -> float:
    """Return the median processor time of some work on one thread."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.thread_time()
        work()
        taken.append(time.thread_time() - start)
    return 1000 * float(np.median(taken))


def decoding(dataset: CocoPanoptic) -> dict[str, Any]:
    """Return each decoder's milliseconds for a JPEG, a mean over the images, and its difference from Pillow's."""
    contents = [dataset.image_path(index).read_bytes() for index in range(len(dataset))]
    found: dict[str, Any] = {}
    expected = [np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int16) for content in contents]
    for name, decode in decoders():
        if isinstance(decode, str):
            found[name] = decode
            continue
        pairs = zip(contents, expected, strict=True)
        difference = max(int(np.abs(decode(content) - pixels).max()) for content, pixels in pairs)
        each = [milliseconds(partial(decode, content)) for content in contents]
        found[name] = {"milliseconds": float(np.mean(each)), "difference": difference}
    return found


def parts_of(dataset: CocoPanoptic, index: int) -> dict[str, Callable[[], object]]:
    """Return what is done for an image: by a loader, and then by the device, which here is the processor."""
    plain, jittered = Transform(), Transform(**JITTER)
    sample, example = dataset[index], plain(dataset[index])
    batch = collate_labelled([example], DIVISOR, plain.normalization)
    (target,) = batch.targets
    things = torch.arange(128) % max(1, len(target["labels"]))

    def loaded(transform: Transform) -> LabelledBatch:
        return collate_labelled([transform(dataset[index], np.random.default_rng(0))], DIVISOR, plain.normalization)

    return {
        "image decoded": lambda: dataset.pixels(index),
        "segments decoded": lambda: dataset.label_map(index),
        "image resized": lambda: plain.image(sample.image, 0),
        "image and segments resized": lambda: plain(sample),
        "collated": lambda: collate_labelled([example], DIVISOR, plain.normalization),
        WHOLE: lambda: loaded(plain),
        "sample, with every jitter": lambda: loaded(jittered),
        **{f"sample, with {name} alone": partial(loaded, Transform(**JITTER_ALONE[name])) for name in JITTER_ALONE},
        "image alone, for evaluation": lambda: collate(
            [plain.image(dataset.pixels(index), 0)], DIVISOR, plain.normalization
        ),
        "device: image normalised": lambda: batch.normalization(batch.pixels),
        "device: semantic map": lambda: batch.to("cpu").semantic,
        MASKS: lambda: list(target["masks"].windows()),
        "device: targets of 128 masks": lambda: mask_targets(
            target["masks"], things, target["boxes"][things], 28, aligned=True
        ),
    }


def parts(dataset: CocoPanoptic) -> dict[str, float]:
    """Return the milliseconds of the parts, means over the images."""
    each = [
        {name: milliseconds(work) for name, work in parts_of(dataset, index).items()} for index in range(len(dataset))
    ]
    return {name: float(np.mean([found[name] for found in each])) for name in each[0]}


def per_second(
    batches: Iterable[Batch], count: int, use: Callable[[Any], None] = lambda batch: None,
    clock: Callable[[], float] = time.perf_counter,
) -> float:  # fmt: skip
    """Return the images per second of some batches after the first, and of what is done with them."""
    start = done = 0.0
    for number, batch in enumerate(islice(batches, 1 + count)):
        use(batch)
        done += len(batch) if number else 0
        start = start or clock()
    return done / (clock() - start)


def repeated(dataset: CocoPanoptic, count: int) -> CocoPanoptic:
    """Return so many images, each as often as it takes."""
    return dataset.subset([index % len(dataset) for index in range(count)])


def loading_rates(dataset: CocoPanoptic, workers: list[int], batches: int) -> dict[str, float]:
    """Return the images per second of loaders for training and for evaluation."""
    found = {}
    many = repeated(dataset, BATCH * (batches + 1))
    for count in workers:
        for name, made in (
            ("training", partial(training_batches, stop=batches + 1)),
            ("training, every jitter", partial(training_batches, stop=batches + 1)),
            ("evaluation", evaluation_batches),
        ):
            transform = Transform(**JITTER) if "jitter" in name else Transform()
            loader = made(many, transform, batch_size=BATCH, divisor=DIVISOR, workers=count)
            found[f"{name}, {count or 'no'} workers"] = per_second(loader, batches)
    return found


def keeping_up(dataset: CocoPanoptic, device: torch.device, steps: int) -> dict[str, float]:
    """Return the images per second of a loader on one thread and of training steps, and the first by the second."""
    many = repeated(dataset, BATCH * (LOADED + 1))
    loader = training_batches(many, Transform(), batch_size=BATCH, divisor=DIVISOR, stop=LOADED + 1)
    loaded = per_second(loader, LOADED, clock=time.process_time)
    trained = step_rate(dataset, device, steps)
    return {LOADER: loaded, STEP: trained, RATIO: loaded / trained}


def step_rate(dataset: CocoPanoptic, device: torch.device, steps: int) -> float:
    """Return the images per second of training steps on batches that are loaded already."""
    config = PanopticConfig.coco(len(dataset.categories.things), len(dataset.categories.stuff))
    with torch.device("meta"):
        space = Supernet(PanopticNetwork(config)).space
    with seeded(0):
        network = new_network(config, hand_made(space)).to(device).train()
    # A processor takes a good part of a minute for an image, alone as well as in a batch.
    size = BATCH if device.type == "cuda" else 1
    loader = training_batches(dataset, Transform(), batch_size=size, divisor=DIVISOR, stop=1)
    (batch,) = loader

    def step(batch: LabelledBatch) -> None:
        batch = batch.to(device)
        generator = torch.Generator(device).manual_seed(0)
        parts = batch.images, batch.sizes, batch.targets, batch.semantic
        network.losses(*parts, generator=generator)["total"].backward()
        network.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    clock = time.perf_counter if device.type == "cuda" else time.process_time
    return per_second(repeat(batch), steps, step, clock)


def show_decoders(figures: dict[str, Any], console: Console) -> None:
    """Print what each decoder takes."""
    table = Table(title="Decoders of JPEGs")
    for column in ("decoder", "ms an image", "largest difference"):
        table.add_column(column, justify="left" if column == "decoder" else "right")
    for name, row in figures.items():
        known = (row, "") if isinstance(row, str) else (f"{row['milliseconds']:.2f}", str(row["difference"]))
        table.add_row(name, *known)
    console.print(table)


def show(title: str, unit: str, figures: dict[str, float], console: Console) -> None:
    """Print a table of figures."""
    table = Table(title=title)
    table.add_column("part")
    table.add_column(unit, justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:.1f}" if value >= 1 else f"{value:.2g}")
    console.print(table)


def measure(
    sample: Path, workers: list[int], batches: int, steps: int, console: Console, *, parts_too: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the figures of parts and loaders, and those beside the training step; each is printed when it is known."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU, one thread"
    images = "the real images of the sample"
    with TemporaryDirectory() as scratch:
        if not (sample / NAMES[2]).exists():
            console.print(f"{sample} holds no sample of COCO; scenes of 640 x 480 take its place.")
            images = "scenes of 640 x 480"
            sample = Path(scratch)
            write_sample(sample)
        dataset = CocoPanoptic(*(sample / part for part in NAMES))
        about: dict[str, Any] = {
            "images": images,
            "count": len(dataset),
            "bar": BAR,
            "device": name,
            "torch": torch.__version__,
            "machine": surroundings()["machine"],
            "versions": {name: found for name in PACKAGES if (found := _version(name)) is not None},
            "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        }
        figures: dict[str, Any] = {}
        beside: dict[str, Any] = {}
        if parts_too:
            figures["decoders"] = decoding(dataset)
            show_decoders(figures["decoders"], console)
            figures["parts"] = parts(dataset)
            show("A sample of 800 x 1333, one thread", "ms", figures["parts"], console)
        if steps:
            beside = {**about, "rates": keeping_up(dataset, device, steps)}
            show(f"800 x 1333, {name}", "images/s", beside["rates"], console)
        if batches:
            figures["rates"] = loading_rates(dataset, workers, batches)
            show(f"Batches of {BATCH}", "images/s", figures["rates"], console)
    return {**about, **figures} if figures else {}, beside


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def lines(found: dict[str, Any]) -> list[str]:
    """Return the guide's rows of the decoders and the parts of a file."""
    rows = []
    for name, row in found["decoders"].items():
        if isinstance(row, dict):
            rows.append(f"| JPEG decoded by {name} | {row['milliseconds']:.1f} |")
    return rows + [f"| {name} | {value:.1f} |" for name, value in found["parts"].items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=Path, default=SAMPLE, help="folder of COCO images with their annotations")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="numbers of loading processes")
    parser.add_argument("--batches", type=int, default=40, help="that each loader is timed over; 0 for none")
    parser.add_argument("--steps", type=int, default=1, help="training steps after the first; 0 for none")
    parser.add_argument("--parts", action=argparse.BooleanOptionalAction, default=True, help="decoders and parts")
    parser.add_argument("--json", type=Path, default=FILE, help="file of the results")
    parser.add_argument("--beside", type=Path, default=BESIDE, help="file of the loader beside the training step")
    options = parser.parse_args()
    if min(*options.workers, options.batches, options.steps, 0) < 0:
        parser.error("numbers of workers, batches and steps are at least 0")
    torch.set_num_threads(1)
    found = measure(options.sample, options.workers, options.batches, options.steps, Console(), parts_too=options.parts)
    for path, figures in zip((options.json, options.beside), found, strict=True):
        if figures:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
