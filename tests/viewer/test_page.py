"""The page of a scene in a real browser, without a network."""

import base64
import gzip
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from panoptic3d.predictor.scene_folder import scene_files
from panoptic3d.viewer.page import scene_page
from tests.export.tiny import make_tiny_scene
from tests.viewer.browser import Browser, find_chromium

_TIMES = "\u00d7"  # between sizes


def test_the_bundle_is_made_from_the_source_that_lies_beside_it(repository: Path) -> None:
    bundle = (files("panoptic3d.viewer") / "assets" / "page.js").read_text()
    folder = repository / "panoptic3d" / "viewer" / "web"
    source = b"".join(path.read_bytes() for path in sorted(folder.glob("*.js")))
    wanted = json.loads((repository / "panoptic3d" / "viewer" / "web" / "package.json").read_text())["dependencies"][
        "three"
    ]
    assert f"sources sha256 {hashlib.sha256(source).hexdigest()}" in bundle.splitlines()[0]
    assert f"three.js {wanted} (MIT" in bundle.splitlines()[0]
    assert len(bundle.encode()) < 1_000_000


def test_what_is_filled_in_cannot_leave_its_place() -> None:
    facts = {
        "camera": {"fov_deg": 60.0, "width": 4, "height": 3},
        "camera_source": "</script><b>{{glb}}",
        "checkpoint": {"name": "<i>"},
        "up": [0.0, -1.0, 0.0],
    }
    page = scene_page("<title> {{script}}", facts, b"GLB", b"PNG", b"JPG", [0.0, 0.0, 1.0], 0.3)
    assert "<b>{{glb}}" not in page
    assert "<i>" not in page
    assert "&lt;title&gt; {{script}}" in page
    assert page.count(base64.b64encode(gzip.compress(b"GLB", 4, mtime=0)).decode()) == 1


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("needs Chromium (chromium, chromium-browser or google-chrome on the PATH)")
    folder = tmp_path_factory.mktemp("page")
    photo = {"file": "living room.jpg", "size": [128, 96]}
    scene = make_tiny_scene()
    scene = replace(scene, provenance={**scene.provenance, "photo": photo})
    (folder / "index.html").write_bytes(scene_files(scene, "tiny")["index.html"])
    with Browser(chromium, folder) as browser:
        browser.open((folder / "index.html").as_uri())
        browser.wait_for("window.panoptic3d && window.panoptic3d.ready")
        yield browser


@pytest.mark.slow
def test_it_opens_in_time_without_errors_and_without_a_network(page: Browser) -> None:
    assert page.errors == []
    assert page.requests == []
    assert page.evaluate("panoptic3d.names()") == ["sofa-7", "wall", "floor"]


@pytest.mark.slow
def test_a_click_picks_the_segment_under_it_and_says_what_it_is(page: Browser) -> None:
    page.evaluate("panoptic3d.look('photo')")
    for name in ("sofa-7", "wall", "floor"):
        places = page.evaluate(f"panoptic3d.pixelsOf('{name}')")
        assert places, name
        page.click(*places[len(places) // 2])
        assert page.evaluate("panoptic3d.selected()") == name
    page.evaluate("panoptic3d.select('sofa-7')")
    text = page.evaluate("document.getElementById('picked').innerText")
    assert "sofa-7" in text
    assert "score 0.75" in text
    assert "0.8" in text.split("m (width")[0]  # its width in metres


@pytest.mark.slow
def test_the_photo_view_shows_things_where_the_photo_has_them(page: Browser) -> None:
    """Left is left and up is up: the picker through the photo's camera against the z-buffer of the scene."""
    scene = make_tiny_scene()
    page.evaluate("panoptic3d.look('photo')")
    x, y, z = ((c - o) * 0.1 for c, o in zip((12.0, 12.0, 17.6), scene.grid.camera_index, strict=True))  # on its front
    u, v = x / z * scene.camera.fx_px + scene.camera.cx_px, y / z * scene.camera.fy_px + scene.camera.cy_px
    area = page.evaluate("document.getElementById('view').getBoundingClientRect().toJSON()")
    left, top, width, height = (area[key] for key in ("left", "top", "width", "height"))
    scale = min(width / scene.camera.width, height / scene.camera.height)
    at = left + width / 2 + (u - 31.5) * scale, top + height / 2 + (v - 23.5) * scale
    assert page.evaluate(f"panoptic3d.pick({at[0]}, {at[1]})") == "sofa-7"
    mirrored = left + width / 2 - (u - 31.5 - 16) * scale
    assert page.evaluate(f"panoptic3d.pick({mirrored}, {at[1]})") != "sofa-7"


@pytest.mark.slow
def test_hide_and_show_change_what_is_drawn_and_picked(page: Browser) -> None:
    page.evaluate("panoptic3d.look('photo')")
    places = page.evaluate("panoptic3d.pixelsOf('sofa-7')")
    at = places[len(places) // 2]
    before = page.screenshot()
    page.evaluate("document.querySelector('#segments li input').click()")
    assert page.evaluate("panoptic3d.visible()") == ["wall", "floor"]
    assert page.evaluate(f"panoptic3d.pick({at[0]}, {at[1]})") != "sofa-7"
    time.sleep(0.3)
    assert page.screenshot() != before
    page.evaluate("document.getElementById('all').click()")
    assert page.evaluate("panoptic3d.visible()") == ["sofa-7", "wall", "floor"]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1280, 800), (390, 844), (844, 390)])
def test_every_view_fits_every_window(page: Browser, size: tuple[int, int]) -> None:
    page.resize(*size)
    for kind in ("overview", "plan"):
        page.evaluate(f"panoptic3d.look('{kind}')")
        assert page.evaluate("panoptic3d.onScreen()"), kind
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    assert page.evaluate("document.getElementById('view').clientHeight") > 200
    page.resize(1280, 800)


@pytest.mark.slow
def test_the_slider_leads_from_the_photo_to_the_scene_and_a_click_on_the_photo_picks(page: Browser) -> None:
    page.evaluate("panoptic3d.look('overview')")
    page.evaluate("const f = document.getElementById('fade'); f.value = 0; f.dispatchEvent(new Event('input'))")
    assert page.evaluate("panoptic3d.view().kind") == "photo"
    assert page.evaluate("document.getElementById('over').style.opacity") == "1"
    assert page.evaluate("document.getElementById('over').naturalWidth") == 64
    page.evaluate("panoptic3d.fade(100)")
    assert page.evaluate("document.getElementById('over').hidden")
    assert page.evaluate("panoptic3d.pickInPhoto(0.5, 0.5)") == "sofa-7"
    page.evaluate("panoptic3d.select(null)")
    area = page.evaluate("document.getElementById('photo').getBoundingClientRect().toJSON()")
    page.click(area["left"] + area["width"] / 2, area["top"] + area["height"] / 2)
    assert page.evaluate("panoptic3d.selected()") == "sofa-7"
    assert "sofa-7" in page.evaluate("document.getElementById('said').textContent")


@pytest.mark.slow
def test_unsure_things_go_with_the_slider_and_one_segment_can_stand_alone(page: Browser) -> None:
    page.evaluate("panoptic3d.showSure(0.8)")
    assert page.evaluate("panoptic3d.visible()") == ["wall", "floor"]
    page.evaluate("panoptic3d.showSure(0.3)")
    assert page.evaluate("panoptic3d.visible()") == ["sofa-7", "wall", "floor"]
    page.evaluate("panoptic3d.select('wall')")
    page.evaluate("document.getElementById('isolate').click()")
    assert page.evaluate("panoptic3d.visible()") == ["wall"]
    page.evaluate("document.getElementById('isolate').click()")
    page.evaluate("document.getElementById('hide').click()")
    assert page.evaluate("panoptic3d.visible()") == ["sofa-7", "floor"]
    page.evaluate("document.getElementById('all').click()")


@pytest.mark.slow
def test_labels_boxes_and_measured_lengths_lie_over_the_picture(page: Browser) -> None:
    page.evaluate("panoptic3d.look('photo'); document.getElementById('labels').click()")
    assert page.evaluate("document.querySelector('#tags .tag').textContent") == "sofa-7"
    page.evaluate("document.getElementById('boxes').click()")
    assert " m" in page.evaluate("document.querySelector('#tags .tag').textContent")
    page.evaluate("document.getElementById('labels').click(); document.getElementById('boxes').click()")
    page.evaluate("document.getElementById('measure').click()")
    places = page.evaluate("panoptic3d.pixelsOf('sofa-7')")
    middle = sorted({y for _, y in places})[len({y for _, y in places}) // 2]
    row = sorted(place for place in places if place[1] == middle)
    page.click(*row[0])
    page.click(*row[-1])
    lengths = page.evaluate("panoptic3d.lengths()")
    assert len(lengths) == 1
    assert 0.5 < lengths[0] < 0.9  # the sofa is 0.8 m wide
    page.evaluate("document.getElementById('measure').click()")
    assert page.evaluate("panoptic3d.lengths()") == []


def _measure_across(page: Browser, name: str) -> list[list[float]]:
    """A length from left to right over the middle of a segment, as it is seen now; where was clicked."""
    page.evaluate("document.getElementById('measure').click()")
    places = page.evaluate(f"panoptic3d.pixelsOf('{name}')")
    rows = sorted({y for _, y in places})
    row = sorted(place for place in places if place[1] == rows[len(rows) // 2])
    page.click(*row[0])
    page.click(*row[-1])
    return [row[0], row[-1]]


def _type_length(page: Browser, text: str) -> str:
    """And what the page says of it, where it says something."""
    page.evaluate(
        f"document.getElementById('true-length').value = '{text}'; document.getElementById('set-length').click()"
    )
    return page.evaluate("document.getElementById('length-wrong').textContent")


@pytest.mark.slow
def test_a_known_length_scales_the_page_and_says_the_call_for_the_scene(page: Browser) -> None:
    page.evaluate("panoptic3d.look('photo'); panoptic3d.select('sofa-7'); document.getElementById('boxes').click()")
    before, pixels = page.evaluate("panoptic3d.facts('sofa-7')"), page.evaluate("panoptic3d.pixelsOf('sofa-7')")
    ends = _measure_across(page, "sofa-7")
    (length,) = page.evaluate("panoptic3d.lengths()")
    for wrong in ("", "long", "-1", "0", "1e9", "0.011", "NaN"):
        assert _type_length(page, wrong), wrong
    assert page.evaluate("panoptic3d.scale()") == 1
    assert _type_length(page, "1,5") == ""
    factor = 1.5 / length
    assert page.evaluate("panoptic3d.scale()") == pytest.approx(factor)
    assert page.evaluate("panoptic3d.lengths()") == [pytest.approx(1.5)]
    after = page.evaluate("panoptic3d.facts('sofa-7')")
    for name in ("size_m", "box_min_m", "box_max_m", "distance_m"):
        assert np.allclose(after[name], factor * np.array(before[name])), name
    size = f" {_TIMES} ".join(f"{value:.2f}" for value in after["size_m"])
    assert size in page.evaluate("document.getElementById('picked').innerText")
    assert size in page.evaluate("[...document.querySelectorAll('.tag')].map((tag) => tag.textContent).join('|')")
    assert page.evaluate("panoptic3d.pixelsOf('sofa-7')") == pixels  # it is seen from as much farther away
    assert f"{_TIMES} {factor:#.4g}" in page.evaluate("document.getElementById('scale-told').textContent")
    words = shlex.split(page.evaluate("document.getElementById('command').textContent"))
    assert words[:4] == ["panoptic3d", "predict", "living room.jpg", "--known-length"]
    x1, y1, x2, y2, metres = map(float, words[4].split(","))
    assert metres == 1.5
    area = page.evaluate("document.getElementById('view').getBoundingClientRect().toJSON()")
    shown = min(area["width"] / 64, area["height"] / 48)  # pixels of the page for one of the photo in the page
    for (x, y), end in zip(ends, ((x1, y1), (x2, y2)), strict=True):
        across, down = (x - area["left"] - area["width"] / 2) / shown, (y - area["top"] - area["height"] / 2) / shown
        assert np.allclose(end, (2 * (across + 32) - 0.5, 2 * (down + 24) - 0.5), atol=0.2)
    page.evaluate("document.getElementById('as-predicted').click()")
    assert page.evaluate("panoptic3d.scale()") == 1
    assert np.allclose(page.evaluate("panoptic3d.facts('sofa-7').size_m"), before["size_m"])
    assert page.evaluate("document.getElementById('command').hidden")
    page.evaluate("document.getElementById('measure').click(); document.getElementById('boxes').click()")
    assert page.evaluate("document.getElementById('known').hidden")
    assert page.errors == []


def _saved_glb(page: Browser) -> bytes:
    page.evaluate(
        "URL.createObjectURL = (blob) => ((window.saved = blob), 'data:,'); document.getElementById('save-glb').click()"
    )
    text = page.evaluate(
        "saved.arrayBuffer().then((b) => btoa([...new Uint8Array(b)].map((c) => String.fromCharCode(c)).join('')))"
    )
    return base64.b64decode(text)


def _bounds(glb: bytes) -> np.ndarray:
    return trimesh.load_scene(io.BytesIO(glb), file_type="glb").bounds


def _size_of(glb: bytes, name: str) -> np.ndarray:
    nodes = json.loads(glb[20 : 20 + int.from_bytes(glb[12:16], "little")])["nodes"]
    return np.array(next(node["extras"]["size_m"] for node in nodes if node["name"] == name))


@pytest.mark.slow
def test_the_saved_glb_has_the_scale_of_the_page(page: Browser) -> None:
    page.evaluate("panoptic3d.look('photo')")
    before = _saved_glb(page)
    _measure_across(page, "sofa-7")
    (length,) = page.evaluate("panoptic3d.lengths()")
    _type_length(page, "2")
    after = _saved_glb(page)
    page.evaluate("document.getElementById('as-predicted').click(); document.getElementById('measure').click()")
    assert np.allclose(_bounds(after), _bounds(before) * 2 / length, rtol=1e-4)
    assert np.allclose(_size_of(after, "sofa-7"), _size_of(before, "sofa-7") * 2 / length)


@pytest.mark.slow
def test_a_length_that_the_photo_does_not_show_is_told_by_two_other_points(page: Browser) -> None:
    page.evaluate("panoptic3d.look('plan'); panoptic3d.select(null)")
    _measure_across(page, "sofa-7")  # its top, which lies above the camera
    _type_length(page, "3")
    assert "two other points" in page.evaluate("document.getElementById('scale-told').textContent")
    words = shlex.split(page.evaluate("document.getElementById('command').textContent"))
    x1, y1, x2, y2, _ = map(float, words[4].split(","))
    assert min(x1, x2, y1, y2) >= 0
    assert max(x1, x2) <= 127
    assert max(y1, y2) <= 95
    page.evaluate("document.getElementById('as-predicted').click(); document.getElementById('measure').click()")


@pytest.mark.slow
def test_everything_goes_by_the_keyboard(page: Browser) -> None:
    page.evaluate("panoptic3d.select(null); panoptic3d.look('overview'); document.getElementById('view').focus()")
    before = page.evaluate("panoptic3d.view().position")
    for key in ("ArrowLeft", "ArrowUp", "+"):
        page.press(key)
        after = page.evaluate("panoptic3d.view().position")
        assert after != before, key
        before = after
    page.press("n")
    assert page.evaluate("panoptic3d.selected()") == "sofa-7"
    page.press("Escape")
    assert page.evaluate("panoptic3d.selected()") is None
    for key, kind in (("2", "photo"), ("3", "plan"), ("4", "walk"), ("1", "overview")):
        page.press(key)
        assert page.evaluate("panoptic3d.view().kind") == kind
    page.press("2")
    page.press("Enter")
    assert page.evaluate("panoptic3d.selected()") == "sofa-7"
    page.press("h")
    assert page.evaluate("panoptic3d.visible()") == ["wall", "floor"]
    page.evaluate("document.getElementById('all').click()")


@pytest.mark.slow
def test_the_guess_of_unsure_things_is_there_on_demand(page: Browser, tmp_path: Path) -> None:
    assert "sofa-7" in page.evaluate("panoptic3d.guessed()")
    html = scene_files(make_tiny_scene(), "tiny")["index.html"].decode()
    told = re.search(r'"unsure_below": ?[0-9.]+', html)
    assert told is not None
    unsure = tmp_path / "unsure.html"
    unsure.write_text(html.replace(told.group(), '"unsure_below": 0.9'))
    with Browser(str(find_chromium()), tmp_path) as browser:
        browser.open(unsure.as_uri())
        browser.wait_for("window.panoptic3d && window.panoptic3d.ready")
        assert "sofa-7" not in browser.evaluate("panoptic3d.guessed()")
        assert "sofa-7" in browser.evaluate("panoptic3d.visible()")
        browser.evaluate("document.getElementById('unsure-guess').click()")
        assert "sofa-7" in browser.evaluate("panoptic3d.guessed()")
        browser.evaluate("document.getElementById('guess').click()")
        assert browser.evaluate("panoptic3d.guessed()") == []
        assert browser.errors == []


@pytest.mark.slow
def test_colours_the_guess_and_themes(page: Browser) -> None:
    assert "confidence" not in page.evaluate("[...document.getElementById('colors').options].map((one) => one.value)")
    for mode in ("class", "instance", "height", "photo"):
        page.evaluate(f"panoptic3d.colorBy('{mode}')")
        assert page.evaluate("document.body.dataset.colors") == mode
    for box in ("guess", "unsure-guess", "hatch", "frustum"):
        page.evaluate(f"document.getElementById('{box}').click()")
        time.sleep(0.1)
        page.evaluate(f"document.getElementById('{box}').click()")
    page.evaluate("document.getElementById('theme').click()")
    assert page.errors == []
    assert page.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(page: Browser, theme: str) -> None:
    script = Path(os.environ.get("PANOPTIC3D_NODE_MODULES", ""), "axe-core", "axe.min.js")
    if not script.is_file():
        pytest.skip("needs PANOPTIC3D_NODE_MODULES, a node_modules folder with axe-core")
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'; panoptic3d.select('sofa-7')")
    page.evaluate(script.read_text() + "; 0")
    found = page.evaluate(
        "axe.run().then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.html)]))"
    )
    assert found == []
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, input, a, summary')].filter((e) => e.offsetParent)"
        ".map((e) => e.closest('label') ?? e).map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])"
        ".filter(([, r]) => r.width < 24 || r.height < 24).map(([h]) => h)"
    )
    assert small == []


@pytest.mark.slow
def test_without_webgl_there_is_a_sentence_and_a_picture(tmp_path: Path) -> None:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("needs Chromium (chromium, chromium-browser or google-chrome on the PATH)")
    (tmp_path / "index.html").write_bytes(scene_files(make_tiny_scene(), "tiny")["index.html"])
    with Browser(chromium, tmp_path, ("--disable-3d-apis",)) as browser:
        browser.open((tmp_path / "index.html").as_uri())
        browser.wait_for("document.body && document.body.dataset.failed")
        assert "WebGL" in browser.evaluate("document.getElementById('why').innerText")
        assert browser.evaluate("document.querySelector('#fallback img').naturalWidth") > 500


@pytest.mark.slow
def test_it_looks_as_it_did(page: Browser, repository: Path) -> None:
    """Against a stored picture, shrunk so far that fonts and antialiasing do not count. Made by this very test if absent."""
    page.resize(1280, 800)
    page.open(page.evaluate("location.href"))  # whichever tests came before, the page stands as it opens
    page.wait_for("window.panoptic3d && window.panoptic3d.ready")
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.evaluate("panoptic3d.select(null); panoptic3d.colorBy('class'); panoptic3d.look('overview')")
    page.evaluate("document.getElementById('all').click(); document.getElementById('view').blur()")
    time.sleep(0.5)
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB").resize((160, 100), Image.Resampling.BOX)
    golden = repository / "tests" / "viewer" / "golden" / "page.png"
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        shot.save(golden)
        pytest.fail(f"{golden} was not there and has been made; look at it and commit it")
    difference = np.abs(np.asarray(shot).astype(int) - np.asarray(Image.open(golden)).astype(int))
    assert difference.mean() < 4
    assert np.quantile(difference, 0.99) < 48


def test_the_script_parses(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("needs node")
    script = tmp_path / "page.js"
    script.write_text((files("panoptic3d.viewer") / "assets" / "page.js").read_text())
    subprocess.run(["node", "--check", str(script)], check=True, capture_output=True)
