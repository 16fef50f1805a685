import pickle

import pytest

from autopanoptic.panoptic.data.categories import Categories, Category


def entries():
    return [
        {"id": 7, "name": "sky", "isthing": 0, "color": [1, 2, 3], "supercategory": "outdoor"},
        {"id": 3, "name": "cat", "isthing": 1, "color": [4, 5, 6]},
        {"id": 90, "name": "dog", "isthing": 1},
    ]


def test_labels_follow_the_order_of_the_json():
    categories = Categories.from_json(entries())
    assert [c.id for c in categories] == [7, 3, 90]
    assert dict(categories.thing_label) == {3: 1, 90: 2}
    assert dict(categories.stuff_label) == {7: 1}
    for labels, members in [
        (categories.thing_label, categories.things),
        (categories.stuff_label, categories.stuff),
    ]:
        assert all(members[label - 1].id == identifier for identifier, label in labels.items())


def test_json_round_trip_and_pickle_keep_equality():
    categories = Categories.from_json(entries())
    for copy in (Categories.from_json(categories.to_json()), pickle.loads(pickle.dumps(categories))):
        assert copy == categories
        assert hash(copy) == hash(categories)
    assert categories != Categories.from_json(entries()[:2])


def test_derived_colors_are_valid_and_differ():
    bare = [{"id": i, "name": str(i), "isthing": 1} for i in range(1, 134)]
    colors = {c.color for c in Categories.from_json(bare)}
    assert len(colors) == 133
    assert all(0 <= v <= 255 for color in colors for v in color)


def test_unknown_id_is_named():
    categories = Categories.from_json(entries())
    assert categories[90].name == "dog"
    assert 90 in categories
    assert 8 not in categories
    with pytest.raises(ValueError, match="unknown category id 8; the 3 known ids are 7, 3, 90"):
        categories[8]


def test_labels_are_read_only():
    with pytest.raises(TypeError):
        Categories.from_json(entries()).thing_label[1] = 2


def stuff(count):
    return [Category(i, f"s{i}", False, (0, 0, 0)) for i in range(count)]


def test_at_most_254_stuff_categories():
    assert max(Categories(stuff(254)).stuff_label.values()) == 254
    with pytest.raises(ValueError, match=r"255 stuff categories.*at most 254 fit"):
        Categories(stuff(255))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"id": 1, "name": "a"}, "lacks isthing"),
        (
            {"id": 2**63, "name": "a", "isthing": 1},
            "category id 9223372036854775808 is not a non-negative integer of 64",
        ),
        ({"id": "1", "name": "a", "isthing": 1}, "category id '1' is not a non-negative integer"),
        ({"id": True, "name": "a", "isthing": 1}, "category id True"),
        ({"id": -1, "name": "a", "isthing": 1}, "category id -1"),
        ({"id": 1, "name": "", "isthing": 1}, "has the name ''"),
        ({"id": 1, "name": "a", "isthing": 2}, "isthing 2: 0 or 1 is needed"),
        ({"id": 1, "name": "a", "isthing": 1, "color": [0, 0, 256]}, r"color \[0, 0, 256\]"),
        ({"id": 1, "name": "a", "isthing": 1, "color": "red"}, "color 'red'"),
    ],
)
def test_bad_entries_are_refused(entry, message):
    with pytest.raises(ValueError, match=message):
        Categories.from_json([entry])


def test_no_categories_and_repeated_ids_are_refused():
    with pytest.raises(ValueError, match="no categories"):
        Categories([])
    with pytest.raises(ValueError, match=r"more than once: \[7\]"):
        Categories.from_json([entries()[0], entries()[0]])


def test_the_same_names_are_the_same_classes_whatever_their_ids():
    own = Categories([Category(7, "cat", True, (1, 2, 3)), Category(3, "sky", False, (4, 5, 6))])
    other = Categories([Category(1, "sky", False, (7, 8, 9)), Category(2, "cat", True, (0, 0, 0))])
    found = own.ordered_as(other)
    assert found is not None
    assert [(c.id, c.name, c.color) for c in found] == [(3, "sky", (7, 8, 9)), (7, "cat", (0, 0, 0))]
    same = Categories([Category(3, "sky", False, (0, 0, 0)), Category(7, "cat", True, (0, 0, 0))])
    assert own.ordered_as(same) is same
    for differing in (
        [Category(1, "sky", True, (0, 0, 0)), Category(2, "cat", True, (0, 0, 0))],
        [Category(1, "sky", False, (0, 0, 0))],
        [*other, Category(3, "sky", False, (0, 0, 0))],
    ):
        assert own.ordered_as(Categories(differing)) is None
        assert Categories(differing).ordered_as(own) is None
