import pytest
import torch

from autopanoptic.panoptic.model.graph.attention import DROPOUT, AttentionHead, GraphAttention
from tests.pretended_gpu import PretendedGpu, on_gpu


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def some(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


def test_rows_of_the_attention_sum_to_one():
    head = AttentionHead(8, 4)
    weights = head.weights(some(5, 8), some(7, 8, seed=1))
    assert weights.shape == (5, 7)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(5))


def test_a_head_by_hand():
    """Two nodes of one channel, W = 2, r = 1, s = -1: LeakyReLU(0.4) of [[0, -2], [2, 0]] for the nodes 1 and 2."""
    head = AttentionHead(1, 1).eval()
    with torch.no_grad():
        head.project.weight.fill_(2)
        head.receiver.weight.fill_(1)
        head.sender.weight.fill_(-1)
    nodes = torch.tensor([[1.0], [2.0]])
    expected = torch.tensor([[0.0, -0.8], [2, 0]]).softmax(1)
    torch.testing.assert_close(head.weights(nodes, nodes), expected)
    torch.testing.assert_close(head(nodes), expected @ torch.tensor([[2.0], [4]]))
    # The nodes -1 and -2: [[0, 2], [-2, 0]], and what they hear is negative, of which ELU makes exp(x) - 1.
    expected = torch.tensor([[0.0, 2], [-0.8, 0]]).softmax(1) @ torch.tensor([[-2.0], [-4]])
    torch.testing.assert_close(head(-nodes), expected.exp() - 1)


def test_a_permutation_of_the_nodes_permutes_the_output():
    graph, nodes, order = GraphAttention(16).eval(), some(9, 16), torch.randperm(9, generator=seeded())
    torch.testing.assert_close(graph(nodes[order]), graph(nodes)[order])


def test_every_node_hears_every_other():
    graph, nodes = GraphAttention(16).eval(), some(5, 16)
    jacobian = torch.autograd.functional.jacobian(graph, nodes)
    assert (jacobian.abs().sum(dim=(1, 3)) > 0).all()


def test_parameters_are_those_of_the_relative():
    graph = GraphAttention()
    shapes = [tuple(head.project.weight.shape) for head in graph.heads]
    assert shapes == [(64, 128), (64, 128)]
    # Two heads of 64 channels with a vector of twice 64 each, and the output's of 128.
    count = sum(parameter.numel() for parameter in graph.parameters())
    assert count == 2 * (128 * 64 + 2 * 64) + 128 * 128 + 2 * 128


def test_gradients_reach_every_parameter():
    graph = GraphAttention(16)
    graph(some(5, 16), seeded()).square().sum().backward()
    assert all(parameter.grad.any() for parameter in graph.parameters())


def test_dropout_is_drawn_from_the_generator_alone():
    graph, nodes = GraphAttention(16), some(6, 16)
    state = torch.random.get_rng_state()
    first, again, other = (graph(nodes, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(graph.eval()(nodes, seeded(1)), graph(nodes))


def test_dropout_keeps_the_mean():
    head = AttentionHead(4, 4)
    kept = head._dropped(torch.ones(200, 200), seeded())
    assert kept.unique().tolist() == pytest.approx([0, 1 / (1 - DROPOUT)])
    assert kept.mean().item() == pytest.approx(1, abs=0.01)


def test_no_node_and_no_sender():
    graph = GraphAttention(16)
    assert graph(torch.zeros(0, 16)).shape == (0, 16)
    assert not AttentionHead(8, 4)(some(3, 8), torch.zeros(0, 8)).any()


def test_half_precision_weighs_in_single():
    head = AttentionHead(8, 4).eval()
    with torch.autocast("cpu", torch.bfloat16):
        weights = head.weights(some(300, 8), some(300, 8))
        assert head(some(3, 8)).isfinite().all()
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights.sum(1), torch.ones(300))


def test_a_gpu_needs_no_wait_and_draws_the_same():
    graph, nodes = GraphAttention(16), some(6, 16)
    with torch.no_grad():
        expected = graph(nodes, seeded(1))
        with PretendedGpu() as gpu:
            found = on_gpu(graph)(on_gpu(nodes), seeded(1))
    assert gpu.waits.total() == 0
    torch.testing.assert_close(found.inner, expected)


@pytest.mark.parametrize("heads", [0, 3])
def test_heads_that_do_not_divide_the_channels_are_refused(heads):
    with pytest.raises(ValueError, match=f"{heads} heads must divide 16 channels"):
        GraphAttention(16, heads)
