from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from autopanoptic.nas.space.architecture import Architecture, Option

OPTIONS: dict[str, Option] = {"op": "conv", "kernel": 3, "se": True, "ratio": 0.5}


def test_it_is_a_mapping_that_keeps_the_order() -> None:
    architecture = Architecture(OPTIONS)
    assert dict(architecture) == OPTIONS
    assert list(architecture) == list(OPTIONS)
    assert len(architecture) == 4
    assert "op" in architecture
    assert "depth" not in architecture
    assert architecture.get("depth", 1) == 1
    with pytest.raises(KeyError, match="depth"):
        architecture["depth"]


def test_equality_and_id_do_not_depend_on_the_order() -> None:
    one = Architecture(OPTIONS)
    other = Architecture(dict(reversed(list(OPTIONS.items()))))
    assert one == other == OPTIONS
    assert hash(one) == hash(other)
    assert one.id == other.id
    assert one != Architecture({**OPTIONS, "kernel": 5})
    assert one.id != Architecture({**OPTIONS, "kernel": 5}).id
    assert len({one, other}) == 1
    assert one != "conv"


def test_the_id_never_changes() -> None:
    assert Architecture(OPTIONS).id == "1f7940c491"
    assert len(Architecture({}).id) == 10


def test_it_does_not_follow_changes_of_what_it_was_made_from() -> None:
    options = dict(OPTIONS)
    architecture = Architecture(options)
    options["op"] = "pool"
    architecture.to_json()["op"] = "pool"
    architecture.replace("op", "pool")["kernel"] = 9
    assert architecture == OPTIONS


def test_replace_gives_a_plain_dictionary() -> None:
    assert Architecture(OPTIONS).replace("kernel", 5) == {**OPTIONS, "kernel": 5}


def test_save_and_load(tmp_path: Path) -> None:
    architecture = Architecture(OPTIONS)
    architecture.save(tmp_path / "found.json")
    loaded = Architecture.load(tmp_path / "found.json")
    assert loaded == architecture
    assert loaded.id == architecture.id
    assert json.loads((tmp_path / "found.json").read_text()) == OPTIONS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ("[1, 2]", "must hold one JSON object"),
        ('{"op": ["conv"]}', "must hold one JSON object"),
        ('{"op": null}', "must hold one JSON object"),
    ],
)
def test_files_that_hold_no_architecture_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Architecture.load(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Architecture.load(tmp_path / "missing.json")


def test_the_hash_does_not_travel_to_another_process() -> None:
    architecture = Architecture(OPTIONS)
    hash(architecture)
    program = (
        "import pickle, sys; from autopanoptic.nas.space.architecture import Architecture;"
        f"sent = pickle.loads(bytes.fromhex(sys.argv[1])); assert sent in {{Architecture({OPTIONS})}}; print(sent.id)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    sent = pickle.dumps(architecture).hex()
    done = subprocess.run([sys.executable, "-c", program, sent], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == architecture.id


def test_a_packed_one_is_like_any_other() -> None:
    options = {"a": 1, "b": "x"}

    def made() -> Architecture:
        return Architecture.packed(tuple(options), tuple(options.values()), options.items())

    plain = Architecture(options)
    assert hash(made()) == hash(plain)
    assert made() == plain
    assert plain == made()
    assert (made()["b"], list(made()), len(made()), "a" in made(), made().id) == ("x", ["a", "b"], 2, True, plain.id)
    assert pickle.loads(pickle.dumps(made())) == copy.deepcopy(made()) == plain
    assert repr(made()) == repr(plain)
    with pytest.raises(AttributeError, match="no attribute 'weights'"):
        made().weights  # type: ignore[attr-defined]  # noqa: B018
