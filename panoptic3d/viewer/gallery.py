"""Which scenes a folder holds, and the page that shows them all."""

import html
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from panoptic3d.errors import BadFileError, InputError
from panoptic3d.structures.scene_files import FACTS, PAGE, PREVIEW, is_file, read_facts

_LONGEST = 160  # of a line


def find_scenes(folder: Path) -> list[Path]:
    """The folder itself, if it is a scene, or the scenes in it, however deep. Links to folders are not followed."""
    if not folder.exists():
        raise InputError(f"{folder} is not there; give the folder of a predicted scene, or one that holds several.")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; give the folder of a predicted scene, or one that holds several.")
    if _is_scene(folder):
        return [folder]
    scenes = sorted(_scenes_below(folder))
    if not scenes:
        raise InputError(
            f"{folder} holds no scene (a folder with {FACTS} and {PAGE}); `panoptic3d predict` writes them."
        )
    return scenes


def gallery_page(title: str, names: list[str], folder: Path) -> str:
    """`names` are the paths of the scenes below the folder: each with what was found, how sure, and the camera."""
    cards = "\n".join(
        f'<a href="/{quoted(name)}/"><img loading="lazy" alt="" src="/{quoted(name)}/{PREVIEW}"><b>{_text(name)}</b>'
        + "".join(f"<span>{html.escape(line)}</span>" for line in lines_about(folder / name))
        + "</a>"
        for name in names
    )
    return _GALLERY.replace("{{cards}}", cards).replace("{{title}}", _text(title))


def quoted(name: str) -> str:
    """Names of files are bytes: one that is not UTF-8 has an address too."""
    return quote(os.fsencode(name))


def lines_about(scene: Path) -> list[str]:
    """From its scene.json, which may be a stranger's: what is not as we write it is passed over."""
    try:
        facts = read_facts(scene)
    except BadFileError:
        return ["its scene.json cannot be read"]
    listed = facts.get("segments")
    segments = [s for s in listed if isinstance(s, dict)] if isinstance(listed, list) else []
    things = Counter(s["class"] for s in segments if s.get("is_thing") is True and isinstance(s.get("class"), str))
    found = ", ".join(f"{name} x {num}" if num > 1 else name for name, num in things.most_common())
    scores = [s["score"] for s in segments if isinstance(s.get("score"), float) and 0 <= s["score"] <= 1]
    sure = f"sure by {100 * min(scores):.0f} to {100 * max(scores):.0f} %" if scores else ""
    camera, source = facts.get("camera"), facts.get("camera_source")
    fov = camera.get("fov_deg") if isinstance(camera, dict) else None
    seen = f"{fov:.0f}° wide" if isinstance(fov, float) and 0 < fov < 360 else ""
    told = ", ".join(part for part in (seen, source if isinstance(source, str) else "") if part)
    return [line[:_LONGEST] for line in (found or "no things", sure, told) if line]


def _scenes_below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}); check its permissions.") from error

    for where, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if PAGE in files and Path(where) != folder and _is_scene(Path(where)):
            yield Path(where)


def _is_scene(folder: Path) -> bool:
    return is_file(folder / PAGE) and is_file(folder / FACTS)


def _text(name: str) -> str:
    return html.escape(os.fsencode(name).decode(errors="replace"))


_GALLERY = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>{{title}}</title>
<style>
:root { color-scheme: light dark; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 20px; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 16px; }
a { color: inherit; text-decoration: none; overflow-wrap: anywhere; border: 1px solid #8885; border-radius: 8px;
  padding: 8px; }
span { display: block; opacity: .75; }
img { width: 100%; aspect-ratio: 16/9; object-fit: cover; object-position: top left; display: block; border-radius: 5px; }
</style></head><body><h1>{{title}}</h1><main>
{{cards}}
</main></body></html>
"""
