import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from autopanoptic.panoptic.model.panoptic_head.logits import panoptic_logits
from autopanoptic.panoptic.model.panoptic_head.overlap import without_overlaps
from autopanoptic.panoptic.model.panoptic_head.pasting import paste_logits, place
from autopanoptic.panoptic.model.prediction import paste_masks
from tests.plain_maps import cells_of, read
from tests.pretended_gpu import PretendedGpu, on_gpu

STUFF, THINGS = 3, 4


def an_image(seed, count, height=9, width=12, side=6, dtype=torch.float32):
    """Semantic scores, boxes partly beyond the map, labels and masks."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([width, height]) - 1
    boxes = torch.cat((corner, corner + torch.rand(count, 2, generator=generator) * 7), dim=1)
    semantic = torch.randn(STUFF + THINGS, height, width, generator=generator, dtype=dtype)
    labels = torch.randint(1, THINGS + 1, (count,), generator=generator)
    return semantic, boxes, labels, torch.randn(count, side, side, generator=generator, dtype=dtype)


def plainly(semantic, boxes, labels, masks, aligned):
    """The definition, cell by cell."""
    height, width = semantic.shape[1:]
    segments = torch.zeros(len(boxes), height, width)
    pasted = torch.zeros(len(boxes), height, width)
    for i, (box, label) in enumerate(zip(boxes, labels.tolist(), strict=True)):
        for y, x, down, along in cells_of(box.tolist(), height, width, aligned=aligned):
            segments[i, y, x] = semantic[STUFF + label - 1, y, x]
            pasted[i, y, x] = read(masks[i].tolist(), down, along)
    explained = segments.amax(0) if len(boxes) else torch.zeros(height, width)
    unknown = semantic[STUFF:].amax(0) - explained
    return torch.cat((semantic[:STUFF], segments + pasted, unknown[None]))


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2, 11])
def test_equals_the_plain_definition(count, aligned):
    for seed in range(5):
        image = an_image(seed, count)
        found = panoptic_logits(*image, STUFF, aligned=aligned)
        assert found.shape == (STUFF + count + 1, 9, 12)
        torch.testing.assert_close(found, plainly(*image, aligned), rtol=0, atol=2e-5)


def test_a_case_by_hand():
    """A map of 1 x 4 cells, one stuff and two thing classes, a thing of the second class on cells 1 and 2."""
    semantic = torch.tensor([[[1.0, 2, 3, 4]], [[5.0, -1, 0, -2]], [[0.5, 1, -3, 7]]])
    boxes, labels, masks = torch.tensor([[1.0, 0, 3, 1]]), torch.tensor([2]), torch.tensor([[[10.0, 20], [10, 20]]])
    found = panoptic_logits(semantic, boxes, labels, masks, 1, aligned=True)
    assert found[:, 0].tolist() == [[1, 2, 3, 4], [0, 1 + 10, -3 + 20, 0], [5 - 0, 1 - 1, 0 + 3, 7 - 0]]
    assert panoptic_logits(semantic, boxes, labels, masks, 1, aligned=True, unknown=False).shape == (2, 1, 4)


@pytest.mark.parametrize(("aligned", "most"), [(True, 0.0), (False, 0.04)])
def test_boxes_are_rounded_as_masks_are_pasted(aligned, most):
    """Away from a mask's outermost cells, which fade in one of the two."""
    boxes = an_image(3, 30)[1] * 20
    along = torch.linspace(-1, 1, 28)
    disc = ((along[:, None] ** 2 + along**2) < 0.8).float()
    probabilities = (disc * (along < 0.3 + along[:, None])).expand(30, 28, 28)
    ours = paste_logits(probabilities - 0.5, place(boxes, (180, 240), aligned=aligned)) > 0
    theirs = paste_masks(probabilities, boxes, (180, 240), 0.5, aligned=aligned)
    # Not aligned, the published code's boxes grow by a ring of zeros before they are rounded.
    assert (ours != theirs).sum() / theirs.sum() <= most


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
def test_chunks_change_nothing(chunk):
    image = an_image(1, 11)
    leaves = [image[0].requires_grad_(), image[3].requires_grad_()]
    results = [panoptic_logits(*image, STUFF, aligned=True, chunk=c) for c in (chunk, 3)]
    torch.testing.assert_close(*results, rtol=0, atol=1e-6)
    grads = [torch.autograd.grad(result.sin().sum(), leaves) for result in results]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


class _Largest(TorchDispatchMode):
    """The most values that an operator has made, the joining of the result aside."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out._base is None and func != torch.ops.aten.cat.default:
            self.values = max(self.values, out.numel())
        return out


def test_chunks_bound_what_is_made_beside_the_result():
    image = an_image(1, 64)
    found = {}
    for chunk in (1, 8, 64):
        with _Largest() as largest:
            panoptic_logits(*image, STUFF, aligned=True, chunk=chunk)
        found[chunk] = largest.values
    one = 9 * 12
    # The most that is made otherwise is for each class, or the weights of all rows and columns.
    assert found[64] == 64 * one
    assert found[1] < found[8] <= found[64] / 4


def test_gradients_are_right_and_reach_scores_and_masks():
    semantic, boxes, labels, masks = an_image(2, 3, 5, 6, 3, torch.float64)
    boxes = torch.tensor([[0.2, 0.3, 5.1, 4.4], [1.0, 1, 4, 4], [2.0, 0, 6, 5]])

    def run(semantic, masks):
        return panoptic_logits(semantic, boxes, labels, masks, STUFF, aligned=True)

    assert torch.autograd.gradcheck(run, (semantic.requires_grad_(), masks.requires_grad_()))
    run(semantic, masks).square().sum().backward()
    assert (semantic.grad[:STUFF] != 0).any(dim=(1, 2)).all()
    assert (masks.grad != 0).any(dim=(1, 2)).all()


def test_half_precision_computes_in_single():
    semantic, boxes, labels, masks = an_image(2, 5)
    semantic, masks = semantic.bfloat16(), masks.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = panoptic_logits(semantic, boxes, labels, masks, STUFF, aligned=True)
    assert found.dtype == torch.float32
    wide = panoptic_logits(semantic.float(), boxes, labels, masks.float(), STUFF, aligned=True)
    torch.testing.assert_close(found, wide, rtol=0, atol=0)


@pytest.mark.parametrize("overlapping", [False, True])
def test_a_gpu_gives_the_same_without_a_wait(overlapping):
    image = an_image(4, 9)
    overlaps = torch.rand(9, 9, generator=torch.Generator().manual_seed(1)) if overlapping else None
    expected = panoptic_logits(*image, STUFF, aligned=True, overlaps=overlaps)
    with PretendedGpu() as gpu:
        there = on_gpu(image)
        found = panoptic_logits(*there, STUFF, aligned=True, overlaps=None if overlaps is None else on_gpu(overlaps))
    assert gpu.waits.total() == 0
    torch.testing.assert_close(found.inner, expected, rtol=0, atol=0)


@pytest.mark.gpu
def test_a_real_gpu_gives_the_same():
    image = an_image(4, 9)
    found = panoptic_logits(*(one.cuda() for one in image), STUFF, aligned=True)
    torch.testing.assert_close(found.cpu(), panoptic_logits(*image, STUFF, aligned=True), rtol=0, atol=1e-4)


def test_overlaps_act_on_masks_before_they_are_added():
    semantic, boxes, labels, masks = an_image(6, 4)
    overlaps = torch.rand(4, 4, generator=torch.Generator().manual_seed(1))
    plain, changed = (
        panoptic_logits(semantic, boxes, labels, masks, STUFF, aligned=True, unknown=False, overlaps=o)
        for o in (None, overlaps)
    )
    places = place(boxes, (9, 12), aligned=True)
    pasted = paste_logits(masks, places)
    taken = pasted - without_overlaps(pasted, places, overlaps)
    assert taken.abs().sum() > 0
    torch.testing.assert_close(plain[STUFF:] - changed[STUFF:], taken, rtol=0, atol=1e-5)


def test_no_shape_depends_on_values():
    image = [one.to("meta") for one in an_image(1, 5)]
    assert panoptic_logits(*image, STUFF, aligned=True).shape == (STUFF + 6, 9, 12)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_stuff": 7}, "S = 7 stuff classes and at least one thing class"),
        ({"num_stuff": -1}, "S = -1"),
        ({"boxes": torch.zeros(3, 4)}, r"boxes \(n, 4\)"),
        ({"labels": torch.ones(5, dtype=torch.int64)}, r"labels \(n,\)"),
        ({"masks": torch.zeros(2, 5, 6, 6)}, r"masks \(n, m, m\)"),
        ({"overlaps": torch.zeros(3, 3)}, r"must be \(2, 2\)"),
        ({"labels": torch.tensor([0, 1])}, r"thing labels 0 to 1 are not in 1\.\.4"),
        ({"labels": torch.tensor([2, 5])}, r"thing labels 2 to 5"),
        ({"chunk": 0}, "chunk must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    names = ("semantic", "boxes", "labels", "masks")
    given = {**dict(zip(names, an_image(1, 2), strict=True)), "num_stuff": STUFF, "aligned": True, **changed}
    with pytest.raises(ValueError, match=message):
        panoptic_logits(**given)
