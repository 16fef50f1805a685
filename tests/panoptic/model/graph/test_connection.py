import pytest
import torch

from autopanoptic.panoptic.model.graph.connection import BidirectionalConnection

CHANNELS = 16


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def nodes(things=(4, 6), classes=3):
    generator = seeded()
    each = [torch.randn(count, CHANNELS, generator=generator) for count in things]
    return each, torch.randn(len(things), classes, CHANNELS, generator=generator)


@pytest.fixture(name="connection")
def _connection():
    return BidirectionalConnection(CHANNELS)


def test_permutations_of_either_graph_permute_the_output(connection):
    connection.eval()
    (things, *_), stuff = nodes()
    order, classes = torch.tensor([2, 0, 3, 1]), torch.tensor([1, 2, 0])
    plain, permuted = (connection([t], s) for t, s in ((things, stuff[:1]), (things[order], stuff[:1, classes])))
    torch.testing.assert_close(permuted[0][0], plain[0][0][order])
    torch.testing.assert_close(permuted[1], plain[1][:, classes])


def test_messages_go_within_and_across_and_not_between_images(connection):
    connection.eval()
    things, stuff = nodes()
    changed_things, changed_stuff = [things[0] + 1, things[1]], torch.stack((stuff[0] + 1, stuff[1]))
    plain = connection(things, stuff)
    by_things, by_stuff = connection(changed_things, stuff), connection(things, changed_stuff)
    for found in (by_things, by_stuff):
        assert (found[0][0] != plain[0][0]).any(dim=1).all()
        assert (found[1][0] != plain[1][0]).any(dim=1).all()
        assert torch.equal(found[0][1], plain[0][1])
        assert torch.equal(found[1][1], plain[1][1])


def test_a_sum_of_both_messages(connection):
    connection.eval()
    (things, *_), stuff = nodes()
    found = connection([things], stuff[:1])
    expected = connection.things(things) + connection.stuff_to_things(things, stuff[0])
    assert torch.equal(found[0][0], expected)
    expected = connection.stuff(stuff[0]) + connection.things_to_stuff(stuff[0], things)
    assert torch.equal(found[1][0], expected)


def test_parameters():
    count = sum(parameter.numel() for parameter in BidirectionalConnection().parameters())
    within, across = 2 * (128 * 64 + 128) + 128 * 128 + 256, 2 * (128 * 64 + 128)
    assert count == 2 * within + 2 * across


def test_an_image_without_regions_hears_its_classes_alone(connection):
    connection.eval()
    things, stuff = nodes((0,))
    found = connection(things, stuff)
    assert found[0][0].shape == (0, CHANNELS)
    assert torch.equal(found[1][0], connection.stuff(stuff[0]))


def test_an_image_draws_from_its_own_generator(connection):
    things, stuff = nodes()
    together = connection(things, stuff, [seeded(1), seeded(2)])
    alone = connection(things[1:], stuff[1:], [seeded(2)])
    assert torch.equal(together[0][1], alone[0][0])
    assert torch.equal(together[1][1], alone[1][0])
    assert torch.equal(connection(things, stuff, seeded(1))[1], connection(things, stuff, seeded(1))[1])


def test_gradients_reach_every_parameter(connection):
    things, stuff = connection(*nodes(), seeded())
    (torch.cat(things).square().sum() + stuff.square().sum()).backward()
    assert all(parameter.grad.any() for parameter in connection.parameters())


def test_other_numbers_of_images_are_refused(connection):
    things, stuff = nodes()
    with pytest.raises(ValueError, match="regions of 2 images, but classes of 1"):
        connection(things, stuff[:1])
