"""pyproject.toml says everything but this: the wheel carries the repository's configs/ as package data."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["panoptic3d*"]), "panoptic3d.configs"],
    package_dir={"panoptic3d.configs": "configs"},
    package_data={
        "panoptic3d": ["py.typed", "**/assets/**/*", "weights/**/*"],
        "panoptic3d.configs": ["**/*.yaml", "**/*.json"],
    },
)
