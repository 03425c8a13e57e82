"""Pages as they are served, in a browser: ours works under the policy, and a stranger's reads nothing but itself."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from panoptic3d.viewer.server import make_server
from tests.export.tiny import make_tiny_scene
from tests.viewer.browser import Browser, find_chromium

_THIEF = """<!doctype html><script>
const told = {}
async function steal(name, work) { try { told[name] = await work() } catch (error) { told[name] = "refused" } }
const text = (url) => async () => (await fetch(url)).text()
window.done = Promise.all([
  steal("own file", text("scene.json")), steal("other scene", text("/good/scene.json")), steal("gallery", text("/")),
  steal("net", text("http://127.0.0.1:9/")), steal("storage", async () => { localStorage.x = 1; return localStorage.x }),
  steal("window", async () => window.open("/good/").document.title),
  steal("frame", async () => { const f = document.createElement("iframe"); f.src = "/good/"; document.body.append(f);
    await new Promise((done) => setTimeout(done, 300)); return f.contentDocument.title }),
]).then(() => told)
</script>"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("scenes")
    make_tiny_scene().save(folder / "good")
    (folder / "thief").mkdir()
    (folder / "thief" / "index.html").write_text(_THIEF)
    (folder / "thief" / "scene.json").write_text("{}")
    with make_server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("needs Chromium (chromium, chromium-browser or google-chrome on the PATH)")
    with Browser(chromium, tmp_path) as browser:
        yield browser


@pytest.mark.slow
def test_our_page_works_under_the_policy(address: str, browser: Browser, tmp_path: Path) -> None:
    browser.open(f"{address}/good/")
    browser.wait_for("window.panoptic3d && window.panoptic3d.ready")
    assert browser.errors == []
    assert set(browser.evaluate("panoptic3d.names()")) == {"sofa-7", "wall", "floor"}
    assert len(browser.screenshot()) > 10_000


@pytest.mark.slow
def test_a_page_of_a_stranger_reads_nothing(address: str, browser: Browser) -> None:
    browser.open(f"{address}/thief/")
    browser.wait_for("window.done")
    assert set(browser.evaluate("window.done").values()) == {"refused"}


@pytest.mark.slow
def test_the_gallery_shows_its_pictures(address: str, browser: Browser) -> None:
    browser.open(f"{address}/")
    browser.wait_for(
        "document.images.length == 2 && document.images[0].complete && document.images[0].naturalWidth > 0"
    )
    browser.wait_for("document.title")
