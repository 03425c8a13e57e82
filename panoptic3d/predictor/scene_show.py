"""The page of a scene without saving it: below the cell of a notebook, or in the browser."""

import html
import sys
import tempfile
import webbrowser
from pathlib import Path

from panoptic3d.predictor.scene_folder import scene_files
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.scene_check import check_scene
from panoptic3d.structures.scene_files import PAGE

_FRAME_STYLE = "width:100%;height:640px;border:0"


def page_of(scene: PanopticScene) -> str:
    """What `save` would write as index.html."""
    check_scene(scene)
    photo = scene.provenance.get("photo")
    name = photo.get("file") if isinstance(photo, dict) else None
    return scene_files(scene, str(name or "scene"))[PAGE].decode()


def scene_html(scene: PanopticScene) -> str:
    """The page in a frame of its own: its script can reach neither the notebook nor the network."""
    page = html.escape(page_of(scene), quote=True)
    return f'<iframe sandbox="allow-scripts allow-downloads" style="{_FRAME_STYLE}" srcdoc="{page}"></iframe>'


def show_scene(scene: PanopticScene) -> Path | None:
    """Below the cell of a notebook (then None), or in the browser from a temporary file, which is returned."""
    check_scene(scene)
    if _is_notebook():
        sys.modules["IPython.display"].display(scene)
        return None
    path = Path(tempfile.mkdtemp(prefix="panoptic3d-")) / PAGE
    path.write_text(page_of(scene), encoding="utf-8")
    webbrowser.open(path.as_uri())
    return path


def _is_notebook() -> bool:
    """A notebook's kernel has imported IPython, and its shell has a kernel; a terminal's shell has none."""
    if "IPython.display" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")
