"""UPSNet's panoptic head (Xiong et al. 2019, section 3.3): logits of pixels without a parameter of its own.

Every instance i of class c gets a channel Z_i = X_seg,i + X_mask,i. X_seg,i is the semantic score of c inside the
instance's box, X_mask,i its mask's logit, resized and pasted into the box; both are 0 outside. A last channel is for
what no instance explains: Z_u = max over thing classes of their score - max over instances of X_seg,i.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autopanoptic.panoptic.model.panoptic_head.overlap import without_overlaps
from autopanoptic.panoptic.model.panoptic_head.pasting import CHUNK, Places, paste_logits, place


def panoptic_logits(
    semantic: Tensor,
    boxes: Tensor,
    labels: Tensor,
    masks: Tensor,
    num_stuff: int,
    *,
    aligned: bool,
    unknown: bool = True,
    overlaps: Tensor | None = None,
    chunk: int = CHUNK,
) -> Tensor:
    """Logits of the stuff classes, of the instances and of the unknown, for one image at a quarter of its size.

    Everything is computed in single precision at least, on the tensors' device, and nothing waits for it. Gradients
    reach the semantic scores and the masks, not the boxes. Sums are made for a few instances at a time; beside the
    result itself, a byte for each of its values is kept for the backward pass.

    Args:
        semantic: Scores (S + T, H, W), stuff classes first, then things.
        boxes: (n, 4), x1, y1, x2, y2 in cells of this map, which is pixels of the image divided by 4.
        labels: Thing classes (n,), 1..T.
        masks: Logits of each instance's own class, (n, m, m).
        num_stuff: S.
        aligned: How boxes become cells, see `pasting.place`; the same as for `paste_masks` (the config's
            ``mask_aligned``).
        unknown: Whether there is the last channel; SOGNet has none.
        overlaps: SOGNet's O (n, n), by which masks give way to each other before they are added; None for UPSNet.
        chunk: Instances whose sums are made at once. It changes memory, and no result.

    Returns:
        (S + n, H, W), with the unknown's channel one more.

    Raises:
        ValueError: When shapes do not fit, ``chunk`` is not positive, or, on a CPU, a label stands for no class.
    """
    _check(semantic, boxes, labels, masks, num_stuff, overlaps, chunk)
    semantic = semantic.to(torch.promote_types(semantic.dtype, torch.float32))
    places = place(boxes, (semantic.shape[1], semantic.shape[2]), aligned=aligned)
    classes = labels + (num_stuff - 1)
    pasted = None if overlaps is None else without_overlaps(paste_logits(masks, places), places, overlaps)
    sums = [semantic[:num_stuff]]
    for start in range(0, len(boxes), chunk):
        part = slice(start, start + chunk)
        inside = places.part(part).inside()
        within = torch.where(inside, semantic[classes[part]], 0)
        sums.append(within + (paste_logits(masks[part], places.part(part)) if pasted is None else pasted[part]))
    if unknown:
        sums.append(unknown_logits(semantic[num_stuff:], labels, places, chunk)[None])
    return torch.cat(sums)


def unknown_logits(things: Tensor, labels: Tensor, places: Places, chunk: int = CHUNK) -> Tensor:
    """The channel Z_u, for things that no instance explains; without any instance the best X_seg is taken to be 0.

    Args:
        things: Scores (T, H, W).
        labels: (n,), 1..T.
        places: Of the instances' boxes.
        chunk: Instances that are looked at at once.

    Returns:
        (H, W).
    """
    # Instances of a class have its score where any of their boxes is: no map for each instance is needed.
    count, shape = len(labels), things.shape[1:]
    covered = torch.zeros_like(things, dtype=torch.int32)
    for start in range(0, count, chunk):
        part = slice(start, start + chunk)
        covered.index_add_(0, labels[part] - 1, places.part(part).inside().to(torch.int32))
    best = torch.where(covered > 0, things, -torch.inf).amax(0)
    outside_one = (covered.sum(0) < max(count, 1)).view(shape)
    return things.amax(0) - torch.where(outside_one, best.clamp(min=0), best)


def _check(
    semantic: Tensor,
    boxes: Tensor,
    labels: Tensor,
    masks: Tensor,
    num_stuff: int,
    overlaps: Tensor | None,
    chunk: int,
) -> None:
    if semantic.ndim != 3 or not 0 <= num_stuff < len(semantic):
        raise ValueError(
            f"semantic scores must be (S + T, H, W) with S = {num_stuff} stuff classes and at least one thing class, "
            f"not {tuple(semantic.shape)}"
        )
    count, things = len(boxes), len(semantic) - num_stuff
    if boxes.shape != (count, 4) or labels.shape != (count,) or masks.ndim != 3 or len(masks) != count:
        raise ValueError(
            f"n instances need boxes (n, 4), labels (n,) and masks (n, m, m), not {tuple(boxes.shape)}, "
            f"{tuple(labels.shape)} and {tuple(masks.shape)}"
        )
    if overlaps is not None and overlaps.shape != (count, count):
        raise ValueError(f"overlaps of {count} instances must be ({count}, {count}), not {tuple(overlaps.shape)}")
    # On a GPU the host would have to wait to know them.
    if labels.device.type == "cpu" and count and not 1 <= int(labels.min()) <= int(labels.max()) <= things:
        raise ValueError(f"thing labels {int(labels.min())} to {int(labels.max())} are not in 1..{things}")
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1 instance, not {chunk}")
