"""Finds the packages: the folders nas/, strategies/ and panoptic/ are installed under the name autopanoptic.

pyproject.toml holds everything else; its package finder cannot give a folder another name.
"""

from setuptools import find_namespace_packages, setup

ROOMS = ("nas", "strategies", "panoptic")

PACKAGES = find_namespace_packages(include=[*ROOMS, *(f"{room}.*" for room in ROOMS)], exclude=["*__pycache__*"])

setup(
    packages=[f"autopanoptic.{name}" for name in PACKAGES],
    package_dir={f"autopanoptic.{room}": room for room in ROOMS},
    package_data={"": ["py.typed", "*.json", "*.yaml", "*.html", "*.css"]},
)
