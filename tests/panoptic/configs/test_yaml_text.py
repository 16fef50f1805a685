"""YAML as configs use it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.panoptic.configs.yaml_text import read, shown, write


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-3.", -3.0),
        ("90_000", 90_000),
        ("1_0.5", 10.5),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        ("1__0", "1__0"),
        ("'1'", "1"),
        ("[1, 2.0, a]", [1, 2.0, "a"]),
        ("<<: 1", {"<<": 1}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = read(text).values
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_read() -> None:
    assert math.isnan(read(".nan").values)


def test_lines_are_those_of_the_keys() -> None:
    document = read("a: 1\n\nb:\n  c: {d: 2}\n  # e\n  f:\n    - 1\n")
    assert document.lines == {("a",): 1, ("b",): 3, ("b", "c"): 4, ("b", "c", "d"): 4, ("b", "f"): 6}


def test_an_alias_stands_for_what_it_names() -> None:
    assert read("a: &x {b: 1}\nc: *x\n").values == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' stands here again, after line 1"),
        ("a:\n  b: 1\n  b: 1\n", "line 3: the key 'b' stands here again, after line 2"),
        ("a: [1\n", "line 2: "),
        ("a: b: c", "line 1: mapping values are not allowed here"),
        ("a: 1\n--- \nb: 2", "line 2: but found another document"),
        ("1: a", "line 1: a key must be text, not '1'"),
        ("[a]: b", "line 1: a key must be text"),
        ("a: !!int x", "line 1: 'x' is no int"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: the tag tag:yaml.org,2002:python/object"),
        ("a: !!binary aGk=", "line 1: the tag tag:yaml.org,2002:binary is not read"),
        ("a: !mine {b: 1}", "line 1: the tag !mine is not read"),
        ("a: &x\n  b: *x", "an alias stands inside of what it names"),
        ("a: *x", "line 1: found undefined alias 'x'"),
        ("a: \x07", "characters that YAML forbids"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_config_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared as it is)
        read(text)
    assert str(caught.value).startswith(message) or message in str(caught.value)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="ascii"), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(PLAIN)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_what_is_written_is_read(value: Any) -> None:
    again = read(write(value)).values
    assert again == value
    assert repr(again) == repr(value)  # types too, which == takes for one
    assert "\n" not in shown(value)
