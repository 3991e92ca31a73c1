"""The exported page, opened from the disk without a network."""

import numpy as np
import pytest
from seeing import centre, red, true_centre

from worldline.viewer.page import write_page

pytestmark = pytest.mark.browser
LAST, SIZE = 7, (960, 600)


@pytest.fixture
def opened(page, painted, tmp_path):
    """The page; everything that is neither points nor controls is switched off."""
    write_page(painted, tmp_path / "page.html", max_points=60_000)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((tmp_path / "page.html").as_uri())
    for name in ("trails", "cameras"):
        page.locator(f"#{name}").uncheck()
    page.locator("#show").select_option("one frame")
    page.locator("#options").evaluate("panel => panel.style.opacity = 0")  # it has red in it
    yield page
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


def slide(page, name: str, value: int) -> None:
    page.locator(f"#{name}").fill(str(value))


@pytest.mark.parametrize("source", [0, LAST])
def test_sliders_move_what_moves(opened, painted, look, source):
    slide(opened, "source", source)
    opened.locator("#static").uncheck()
    slide(opened, "time", 0)
    before = centre(red(look("early")))
    slide(opened, "time", LAST)
    moved = centre(red(look("late"))) - before
    truth = true_centre(painted, source, LAST, SIZE) - true_centre(painted, source, 0, SIZE)
    assert np.linalg.norm(truth) > 100
    np.testing.assert_allclose(moved, truth, atol=0.15 * np.linalg.norm(truth))


def test_what_stands_still_does_not_move(opened, look):
    opened.locator("#moving").uncheck()
    pictures = []
    for time in (0, LAST):
        slide(opened, "time", time)
        pictures.append(look(f"time{time}")[:520])  # without the clock
    assert pictures[0].std() > 20
    np.testing.assert_array_equal(*pictures)


def test_toggles(opened, look):
    opened.locator("#moving").uncheck()
    assert red(look("static_only")).sum() == 0
    opened.locator("#moving").check()
    opened.locator("#static").uncheck()
    alone = look("moving_only")
    assert red(alone).sum() > 50
    opened.locator("#tint").check()
    assert red(look("tinted")).sum() < 0.2 * red(alone).sum()


def test_it_plays(opened, look):
    opened.locator("#play").click()
    opened.wait_for_timeout(1200)
    opened.locator("#play").click()
    assert float(opened.locator("#time").input_value()) > 0
    assert "frame" in opened.locator("#now").inner_text()


def test_everything_together(opened, look):
    opened.locator("#options").evaluate("panel => panel.style.opacity = 1")
    for name in ("trails", "cameras"):
        opened.locator(f"#{name}").check()
    opened.locator("#show").select_option("all frames")
    slide(opened, "time", 5)
    picture = look("all")
    assert picture[100:500, 200:700].std() > 20
