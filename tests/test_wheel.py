"""What is installed from a built wheel: every module, and the files that are no modules."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("nas", "strategies", "panoptic")

IMPORT_ALL = """
import importlib, pkgutil, sys
packages = []
for name, above in [("nas", ("strategies", "panoptic")), ("strategies", ("panoptic",)), ("panoptic", ())]:
    packages.append(importlib.import_module(f"autopanoptic.{name}"))
    for module in pkgutil.walk_packages(packages[-1].__path__, f"autopanoptic.{name}."):
        assert importlib.import_module(module.name).__file__.startswith(sys.argv[1]), module.name
    loaded = [name for name in sys.modules if name.startswith(tuple(f"autopanoptic.{other}" for other in above))]
    assert not above or not loaded, loaded
for package in packages:
    for name in getattr(package, "__all__", ()):
        getattr(package, name)
"""


def run(*command: str, **environment: str) -> None:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel has been installed; built of a copy, because a build leaves files behind."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    (wheel,) = folder.glob("autopanoptic-*.whl")
    run(*pip, "install", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel))
    return folder / "site"


def test_every_module_of_the_wheel_can_be_imported(installed: Path) -> None:
    run(sys.executable, "-c", IMPORT_ALL, str(installed), PYTHONPATH=str(installed))


def test_the_wheel_holds_every_file_of_the_packages(installed: Path) -> None:
    for package in PACKAGES:
        ours = {path.relative_to(ROOT / package) for path in (ROOT / package).rglob("*") if path.is_file()}
        theirs = {path.relative_to(installed / "autopanoptic" / package) for path in
                  (installed / "autopanoptic" / package).rglob("*") if path.is_file()}  # fmt: skip
        assert {path for path in ours ^ theirs if "__pycache__" not in path.parts} == set()
