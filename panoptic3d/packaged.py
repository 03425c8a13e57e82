"""Files that come with the package: named configs, recipes and example photos, from a checkout or from an installed wheel."""

from pathlib import Path

from panoptic3d.errors import ConfigError

_IN_WHEEL = Path(__file__).resolve().parent / "configs"  # setup.py puts the repository's configs/ there
_IN_CHECKOUT = Path(__file__).resolve().parents[1] / "configs"


def configs_folder() -> Path:
    return _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT


def photos_folder() -> Path:
    """Example photos: rooms that no training has seen."""
    in_wheel = Path(__file__).resolve().parent / "photos"
    return in_wheel if in_wheel.is_dir() else Path(__file__).resolve().parents[1] / "data" / "photos"


def packaged_config(name: str) -> Path | None:
    """The packaged config of a name such as `clearview/tiny` or `configs/clearview/tiny.yaml`, if there is one."""
    folder = configs_folder()
    named = folder / f"{name.removesuffix('.yaml').removeprefix('configs/')}.yaml"
    return named if named.is_file() and folder in named.resolve().parents else None


def find_config(name_or_path: str) -> Path:
    """A path to a YAML file as it is, or the packaged config of a name such as `clearview/tiny`."""
    path = Path(name_or_path)
    if path.is_file():
        return path
    if (named := packaged_config(name_or_path)) is not None:
        return named
    names = ", ".join(_names(configs_folder())) or "none"
    raise ConfigError(
        f"there is no config {name_or_path!r}; give the path of a YAML file, or a packaged one ({names})."
    )


def _names(folder: Path) -> list[str]:
    found = (path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.yaml"))
    return sorted(name for name in found if not name.startswith("rooms/"))
