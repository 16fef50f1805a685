"""Finds the packages: the folders nas/, strategies/ and panoptic/ are installed under the name autopanoptic.

pyproject.toml holds everything else; its package finder cannot give a folder another name.
"""

from setuptools import find_packages, setup

ROOMS = ("nas", "strategies", "panoptic")

setup(
    packages=[
        f"autopanoptic.{name}" for name in find_packages(include=[*ROOMS, *(f"{room}.*" for room in ROOMS)])
    ],
    package_dir={f"autopanoptic.{room}": room for room in ROOMS},
    package_data={"": ["py.typed", "*.json"]},
)
