"""Controls of the page in a real browser that the other tests of it do not touch."""

import base64
import io
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from PIL import Image

from panoptic3d.predictor.scene_folder import scene_files
from tests.export.tiny import make_tiny_scene
from tests.viewer.browser import Browser, find_chromium

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("controls") / "index.html"
    path.write_bytes(scene_files(make_tiny_scene(), "tiny")["index.html"])
    return path.as_uri()


@pytest.fixture(scope="module")
def page(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("needs Chromium (chromium, chromium-browser or google-chrome on the PATH)")
    with Browser(chromium, tmp_path_factory.mktemp("profile")) as browser:
        browser.open(address)
        browser.wait_for("window.panoptic3d && window.panoptic3d.ready")
        yield browser


def test_once_the_browser_runs_it_opens_within_seconds(page: Browser, address: str) -> None:
    """The bar is one second on two idle cores; under the other tests of a run it gets three."""
    page.open("about:blank")
    start = time.monotonic()
    page.open(address)
    page.wait_for("window.panoptic3d && window.panoptic3d.ready")
    assert time.monotonic() - start < 3


def test_the_mouse_over_a_segment_names_it(page: Browser) -> None:
    page.evaluate("panoptic3d.look('overview')")
    x, y = page.evaluate("panoptic3d.pixelsOf('sofa-7')[0]")
    page.move_to(x, y)
    page.wait_for("!document.getElementById('hover').hidden")
    assert page.evaluate("document.getElementById('hover').textContent") == "sofa-7"
    page.move_to(3, 60)  # the sky
    page.wait_for("document.getElementById('hover').hidden")


def test_it_turns_until_it_is_touched(page: Browser) -> None:
    page.evaluate("document.getElementById('turn').click()")
    first = page.evaluate("panoptic3d.view().position")
    page.wait_for(f"JSON.stringify(panoptic3d.view().position) !== '{_compact(first)}'")
    assert page.evaluate("document.getElementById('turn').getAttribute('aria-pressed')") == "true"
    page.click(400, 400)
    assert page.evaluate("document.getElementById('turn').getAttribute('aria-pressed')") == "false"
    still = page.evaluate("panoptic3d.view().position")
    time.sleep(0.3)
    assert page.evaluate("panoptic3d.view().position") == still


def _compact(numbers: list[float]) -> str:
    return "[" + ",".join(str(number) for number in numbers) + "]"


def test_the_picture_is_saved_as_png(page: Browser) -> None:
    page.evaluate(
        "URL.createObjectURL = (b) => ((window.saved = b), 'data:,'); document.getElementById('save-png').click()"
    )
    page.wait_for("window.saved")
    text = page.evaluate(
        "saved.arrayBuffer().then((b) => btoa([...new Uint8Array(b)].map((c) => String.fromCharCode(c)).join('')))"
    )
    picture = Image.open(io.BytesIO(base64.b64decode(text)))
    assert picture.format == "PNG"
    assert picture.size == tuple(
        page.evaluate("[document.getElementById('view').width, document.getElementById('view').height]")
    )
    assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 100


def test_full_screen_is_asked_for_by_button_and_key(page: Browser) -> None:
    page.evaluate("window.asked = 0; document.getElementById('stage').requestFullscreen = () => (window.asked += 1)")
    page.evaluate("document.getElementById('full').click(); document.getElementById('view').focus()")
    page.press("f")
    assert page.evaluate("asked") == 2


def test_picks_are_announced_and_the_canvas_has_a_role_and_a_name(page: Browser) -> None:
    page.evaluate("panoptic3d.select('sofa-7')")
    assert "sofa-7" in page.evaluate("document.querySelector('[role=status][aria-live=polite]').textContent")
    assert page.evaluate("document.getElementById('view').getAttribute('role')") == "application"
    assert "tiny" in page.evaluate("document.getElementById('view').getAttribute('aria-label')")
    page.evaluate("panoptic3d.select(null)")


def test_on_a_phone_the_list_comes_before_the_photo(page: Browser) -> None:
    top = "document.getElementById('{}').getBoundingClientRect().top"
    below = f"{top.format('segments')} < {top.format('photo')}"
    assert not page.evaluate(below)
    for size in ((390, 844), (844, 390)):
        page.resize(*size)
        assert page.evaluate(below), size
    page.resize(1280, 800)


def test_entries_of_the_panel_do_not_overlap(page: Browser) -> None:
    for size in ((1280, 800), (390, 844), (844, 390)):
        page.resize(*size)
        places = page.evaluate(
            "[...document.querySelectorAll('aside > *')].filter((e) => e.offsetParent).map((e) => e.getBoundingClientRect())"
            ".map((r) => [r.top, r.bottom]).sort((a, b) => a[0] - b[0])"
        )
        assert all(low[1] <= high[0] + 0.5 for low, high in pairwise(places)), size
        wide = page.evaluate(
            "[...document.querySelectorAll('aside label')].filter((e) => e.scrollHeight > e.clientHeight + 1).length"
        )
        assert wide == 0, size
    page.resize(1280, 800)


def test_nothing_was_logged_or_fetched(page: Browser) -> None:
    assert page.errors == []
    assert page.requests == []
