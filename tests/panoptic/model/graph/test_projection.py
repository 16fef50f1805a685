import pytest
import torch

from autopanoptic.panoptic.model.graph.connection import BidirectionalConnection
from autopanoptic.panoptic.model.graph.stuff import StuffGraph, class_centres
from autopanoptic.panoptic.model.graph.things import ThingGraph
from autopanoptic.panoptic.model.padding import padded


def some(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_regions_become_nodes_and_nodes_stand_beside_their_regions():
    graph, features = ThingGraph(), some(5, 1024)
    nodes = graph.nodes(features)
    assert nodes.shape == (5, 128)
    found = graph.project(features, nodes)
    assert found.shape == (5, graph.out_channels) == (5, 1024 + 128)
    assert torch.equal(found[:, :1024], features)
    assert count(graph) == 1024 * 128 + 128 + 128 * 128 + 128


def test_classes_become_nodes_and_nodes_are_spread_over_their_pixels():
    graph, features, scores = StuffGraph(), some(2, 512, 4, 6), some(2, 7, 4, 6, seed=1)
    nodes = graph.nodes(features, scores)
    assert nodes.shape == (2, 7, 128)
    found = graph.project(features, scores, nodes)
    assert found.shape == (2, 512 + 256, 4, 6)
    assert torch.equal(found[:, :512], features)
    expected = sum(scores[1].softmax(0)[k, 2, 3] * graph.expand(nodes)[1, k] for k in range(7))
    torch.testing.assert_close(found[1, 512:, 2, 3], expected)
    assert count(graph) == 512 * 128 + 128 + 128 * 256 + 256


def test_centres_by_hand():
    """Two pixels with features 1 and 3; the first class weighs them 1 : 1, the second 1 : e^2."""
    features, scores = torch.tensor([[[[1.0, 3]]]]), torch.tensor([[[[5.0, 5]], [[0.0, 2]]]])
    share = torch.tensor(2.0).sigmoid()
    assert class_centres(features, scores).flatten().tolist() == pytest.approx([2, (1 + 2 * share).item()])


def test_a_class_that_is_sure_of_a_pixel_gets_its_features_and_gives_them_back():
    features, scores = some(1, 3, 2, 2), torch.full((1, 4, 2, 2), -50.0)
    scores[0, [0, 1, 2, 3], [0, 0, 1, 1], [0, 1, 0, 1]] = 50
    centres = class_centres(features, scores)
    torch.testing.assert_close(centres[0], features[0].flatten(1).T)


def test_padding_has_no_part_in_the_centres():
    features, scores = some(2, 3, 8, 8), some(2, 4, 8, 8, seed=1)
    sizes = [(20, 32), (32, 12)]
    with padded(torch.zeros(2, 3, 32, 32), sizes):
        together = class_centres(features, scores)
    for index, (height, width) in enumerate(sizes):
        own = (slice(index, index + 1), slice(None), slice(height // 4), slice(width // 4))
        torch.testing.assert_close(together[index : index + 1], class_centres(features[own], scores[own]))


def test_half_precision_adds_up_in_single():
    features, scores = some(1, 3, 64, 64).bfloat16(), some(1, 2, 64, 64, seed=1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = class_centres(features, scores)
        assert StuffGraph(3, 4, 5).project(features, scores, some(1, 2, 4)).dtype == torch.bfloat16
    torch.testing.assert_close(found, class_centres(features.double(), scores.double()).float(), rtol=1e-4, atol=1e-5)


def test_gradients_go_through_both_graphs_to_every_parameter():
    things, stuff, connection = ThingGraph(12, 8), StuffGraph(10, 8, 6), BidirectionalConnection(8)
    regions, features, scores = some(5, 12), some(1, 10, 4, 4), some(1, 3, 4, 4, seed=1)
    leaves = [one.requires_grad_() for one in (regions, features, scores)]
    nodes, classes = connection([things.nodes(regions)], stuff.nodes(features, scores))
    total = things.project(regions, nodes[0]).square().sum() + stuff.project(features, scores, classes).square().sum()
    total.backward()
    for module in (things, stuff, connection):
        assert all(parameter.grad.any() for parameter in module.parameters())
    assert all(leaf.grad.any() for leaf in leaves)


def test_no_shape_depends_on_values():
    graph = StuffGraph(10, 8, 6).to("meta")
    features, scores = torch.zeros(1, 10, 4, 4, device="meta"), torch.zeros(1, 3, 4, 4, device="meta")
    nodes = graph.nodes(features, scores)
    _, nodes = BidirectionalConnection(8).to("meta").eval()([torch.zeros(5, 8, device="meta")], nodes)
    assert graph.project(features, scores, nodes).shape == (1, 16, 4, 4)
