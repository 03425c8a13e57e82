"""pyproject.toml says everything but this: the wheel carries the repository's configs/ and data/photos/ as package data."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["panoptic3d*"]), "panoptic3d.configs", "panoptic3d.photos"],
    package_dir={"panoptic3d.configs": "configs", "panoptic3d.photos": "data/photos"},
    package_data={
        "panoptic3d": ["py.typed", "**/assets/**/*", "weights/**/*"],
        "panoptic3d.configs": ["**/*.yaml", "**/*.json"],
        "panoptic3d.photos": ["*.jpg"],
    },
)
