"""Where a checkpoint is: a folder that the user names, or one that came with the package. Shipping one is putting its folder
under `panoptic3d/weights/`.
"""

import os
from pathlib import Path

import panoptic3d
from panoptic3d.errors import InputError
from panoptic3d.models.checkpoints.folder import CONFIG

_DEFAULT = "DEFAULT"  # a file beside the shipped folders that names the one to take, needed as soon as there are two


def weights_folder() -> Path:
    return Path(panoptic3d.__file__).parent / "weights"


def shipped_checkpoints() -> dict[str, Path]:
    return {path.parent.name: path.parent for path in sorted(weights_folder().glob(f"*/{CONFIG}"))}


def find_checkpoint(name_or_path: str | Path | None) -> Path:
    """The folder of a checkpoint. A shipped name comes before a path; None is the shipped default."""
    shipped = shipped_checkpoints()
    if name_or_path is None:
        return _default(shipped)
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    path = Path(name_or_path)
    if os.path.isfile(path / CONFIG):  # which is False, too, for names that no file can have
        return path
    names = ", ".join(shipped) or "none"
    seen = f"a folder without {CONFIG}" if os.path.isdir(path) else "a file" if os.path.isfile(path) else "nowhere"
    raise InputError(
        f"the checkpoint {str(name_or_path)[:200]!r} is {seen}; give a folder that import-checkpoint or training has made, "
        f"or a shipped name (there are: {names})."
    )


def _default(shipped: dict[str, Path]) -> Path:
    if not shipped:
        raise InputError(
            "no checkpoint is shipped with this version; give --checkpoint DIR, a folder that import-checkpoint has made."
        )
    if len(shipped) == 1:
        return next(iter(shipped.values()))
    return shipped[(weights_folder() / _DEFAULT).read_text().strip()]
