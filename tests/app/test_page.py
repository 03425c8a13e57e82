"""From drop to GLB in a browser, on a desktop and on a phone, with the network in its own process."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.viewer.browser import Browser, find_chromium

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

_DROP = """(async () => {
  const bytes = await (await fetch("/api/examples/bedside.jpg")).blob()
  const carried = new DataTransfer()
  carried.items.add(new File([bytes], "my room.jpg", { type: "image/jpeg" }))
  const event = new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true })
  document.getElementById("drop").dispatchEvent(event)
})()"""
_GLB = """(async () => {
  const link = [...document.querySelectorAll("#links a")].find((a) => a.textContent === "GLB")
  const bytes = new Uint8Array(await (await fetch(link.href)).arrayBuffer())
  return link.download + " " + String.fromCharCode(...bytes.slice(0, 4))
})()"""


_HAS_NO_LINK_BACK = "document.getElementById('back').hidden"
_ORBIT = """(() => {
  const view = document.getElementById("view")
  const at = (kind, x) => view.dispatchEvent(new PointerEvent(kind,
    { clientX: x, clientY: 200, pointerId: 1, button: 0, buttons: 1, bubbles: true }))
  at("pointerdown", 150)
  at("pointermove", 260)
  at("pointerup", 260)
})()"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The command itself, with the shipped network."""
    words = [sys.executable, "-m", "panoptic3d", "app", "--port", "0", "--no-open", "--device", "cpu"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert server.stdout is not None
    yield server.stdout.readline().split()[0]
    server.terminate()
    server.wait(timeout=20)
    server.stdout.close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("needs Chromium (chromium, chromium-browser or google-chrome on the PATH)")
    with Browser(chromium, tmp_path) as browser:
        yield browser


_POINT = """((kind, x, y) => {
  const box = document.getElementById("measured").getBoundingClientRect()
  document.elementFromPoint(box.left + 5, box.top + 5).dispatchEvent(new PointerEvent(kind, {
    clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true, cancelable: true }))
})"""
_LENGTH = """(() => { const form = new FormData(); return [scale.addTo(form), form.get("known_length")] })()"""


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_a_length_is_marked_on_the_photo(address: str, browser: Browser, width: int, height: int) -> None:
    browser.resize(width, height)
    browser.open(address)
    browser.evaluate(_DROP)
    browser.wait_for("document.getElementById('measured').naturalWidth > 0")
    browser.evaluate("""(() => { const kind = document.getElementById("scale"); kind.value = "length"
      kind.dispatchEvent(new Event("change")); document.getElementById("ruler").scrollIntoView() })()""")
    assert browser.evaluate(_LENGTH) == ["Say how many metres it is.", None]
    browser.evaluate("document.getElementById('metres').value = '0.9'")
    for end in ((0.25, 0.5), (0.75, 0.5)):
        browser.evaluate(f"{_POINT}('pointerdown', {end[0]}, {end[1]})")
        browser.evaluate(f"{_POINT}('pointerup', {end[0]}, {end[1]})")
    browser.evaluate("""document.activeElement.dispatchEvent(
      new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true, cancelable: true }))""")
    size = browser.evaluate("(({ naturalWidth: w, naturalHeight: h }) => [w, h])(document.getElementById('measured'))")
    wrong, text = browser.evaluate(_LENGTH)
    assert wrong is None
    found = [float(word) for word in text.split(",")]
    x = [share * size[0] - 0.5 for share in (0.25, 0.755)]
    assert found == pytest.approx([x[0], 0.5 * size[1] - 0.5, x[1], 0.5 * size[1] - 0.5, 0.9], abs=0.02 * size[0])
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.errors == []
    if folder := os.environ.get("PANOPTIC3D_SCREENSHOTS"):
        (Path(folder) / f"app-length-{width}.png").write_bytes(browser.screenshot())


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_from_drop_to_glb(address: str, browser: Browser, width: int, height: int) -> None:
    browser.resize(width, height)
    browser.open(address)
    browser.wait_for("document.querySelectorAll('#examples img').length === 3")
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    browser.evaluate(_DROP)
    browser.wait_for("document.getElementById('source').textContent.includes('degrees wide')")
    browser.evaluate("document.getElementById('go').click()")
    end_s = time.monotonic() + 240
    while not browser.evaluate("!document.getElementById('result').hidden"):
        told = browser.evaluate("document.getElementById('told').textContent")
        assert time.monotonic() < end_s, told
        assert not browser.evaluate("document.getElementById('told').classList.contains('wrong')"), told
        time.sleep(0.2)
    assert browser.evaluate(_GLB) == "my room.glb glTF"
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.errors == []
    assert all(request.startswith(address) for request in browser.requests), browser.requests
    if folder := os.environ.get("PANOPTIC3D_SCREENSHOTS"):
        time.sleep(3)
        (Path(folder) / f"app-{width}.png").write_bytes(browser.screenshot())
    if modules := os.environ.get("PANOPTIC3D_NODE_MODULES"):
        axe = (Path(modules) / "axe-core" / "axe.min.js").read_text()
        browser.evaluate(axe + "; true")
        # Without its frames: the scene's page is another site to this one, and has a test of its own.
        found = browser.evaluate(
            "axe.run({ exclude: ['iframe'] }).then((r) => r.violations.map((v) => [v.impact, v.id]))"
        )
        assert [row for row in found if row[0] in ("serious", "critical")] == []
    while not browser.evaluate_in_frame("Boolean(window.panoptic3d && window.panoptic3d.ready)"):
        assert time.monotonic() < end_s
        time.sleep(0.2)
    assert browser.evaluate_in_frame(_HAS_NO_LINK_BACK)
    scene = browser.evaluate("document.getElementById('scene').src")
    browser.open(scene)
    browser.wait_for("window.panoptic3d && window.panoptic3d.ready")
    assert not browser.evaluate(_HAS_NO_LINK_BACK)  # in a tab of its own it leads to the list of scenes
    before = browser.screenshot()
    browser.evaluate(_ORBIT)
    time.sleep(0.5)
    assert browser.screenshot() != before
