"""Configs as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.configs.layers import ConfigError, shipped
from autopanoptic.panoptic.configs.schema import all_keys, keys_of, section_of
from autopanoptic.panoptic.configs.text import meanings, text_of, title_of
from autopanoptic.panoptic.configs.yaml_text import read
from autopanoptic.panoptic.settings.settings import Settings


@pytest.mark.parametrize("name", ["scenes", "coco"])
def test_the_explained_text_is_the_same_config(name: str, tmp_path: Path) -> None:
    settings = load_config(name)
    for explain in (False, True):
        (tmp_path / "mine.yaml").write_text(text_of(settings, explain=explain))
        assert load_config(tmp_path / "mine.yaml") == settings


def test_every_key_has_a_meaning() -> None:
    sections = {Settings, *(found for key in keys_of(Settings).values() if (found := section_of(key)))}
    for section in sections:
        assert set(keys_of(section)) <= set(meanings(section)), section
        assert all(text and "`" not in text and "None" not in text for text in meanings(section).values())


def test_comments_fit_a_terminal_and_stand_above_their_keys() -> None:
    lines = text_of(load_config("scenes", {"warmup.passes": 5}), explain=True).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[lines.index("seed: 0") - 1].startswith("# ")
    keys = [line.split(":")[0].strip() for line in lines if line and "#" not in line]
    absent = (("retrained_network",), ("pretraining", "supernet"), ("pretraining", "found"))  # sections that are null
    assert len(keys) >= len([path for path in all_keys() if not any(path[: len(one)] == one for one in absent)])


def test_a_part_stands_alone() -> None:
    settings = load_config("scenes")
    assert text_of(settings, "data.scenes.train") == "data:\n  scenes:\n    train: 1600\n"
    assert read(text_of(settings, "search", explain=True)).values["search"]["trials"] == settings.search.trials
    with pytest.raises(ConfigError, match=r"serch: unknown key; did you mean search\?"):
        text_of(settings, "serch")
    with pytest.raises(ConfigError, match=r"search\.trails: unknown key; did you mean trials\?"):
        text_of(settings, "search.trails")
    with pytest.raises(ConfigError, match=r"seed\.x: unknown key"):
        text_of(settings, "seed.x")


def test_titles_fit_a_terminal() -> None:
    for name in shipped():
        assert 10 < len(title_of(name)) <= 80 - len("photographs  ")
