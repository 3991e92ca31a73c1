"""The live viewer: its controls, and what they change in the picture."""

import threading

import numpy as np
import pytest
from seeing import centre, red

from worldline.viewer.app import Viewer
from worldline.viewer.state import ViewState

pytestmark = pytest.mark.browser
LAST = 7


@pytest.fixture
def viewer(painted):
    state = ViewState(show="one frame", trails=False, cameras=False, budget=15_000)
    viewer = Viewer(painted, state, port=18090)
    thread = threading.Thread(target=viewer.run, daemon=True)
    thread.start()
    yield viewer
    viewer.stop()
    thread.join(timeout=10)


@pytest.fixture
def opened(page, viewer):
    page.goto(viewer.url)
    page.get_by_text("Source", exact=True).wait_for(timeout=20_000)
    page.wait_for_timeout(1500)
    return page


def press(page, slider: str, key: str) -> None:
    """Press a key on a slider's thumb: they stand in the order of the panel."""
    page.get_by_role("slider").nth(["Time", "Source"].index(slider)).press(key)
    page.wait_for_timeout(600)


def points(picture: np.ndarray) -> np.ndarray:
    """The picture where no panel covers it."""
    return picture[:, :600]


def test_sliders_move_what_moves(opened, viewer, look):
    before = points(look("early"))
    press(opened, "Time", "End")
    assert viewer.state.time == LAST
    after = points(look("late"))
    assert centre(red(after))[0] < centre(red(before))[0] - 30  # it walks to the left
    press(opened, "Source", "End")
    assert viewer.state.source == LAST
    assert (np.abs(points(look("other_source")) - after).max(axis=-1) > 40).mean() > 0.01


def test_a_click_follows_the_point(opened, viewer, look):
    viewer.change(static=False)
    opened.wait_for_timeout(600)
    x, y = centre(red(points(look("before_click"))))
    mask = np.argwhere(red(points(look("before_click"))))
    y, x = mask[np.abs(mask - (y, x)).sum(axis=-1).argmin()]
    opened.mouse.click(int(x), int(y))
    opened.get_by_text("of frame 0").wait_for(timeout=10_000)
    assert "moved" in viewer.controls.chosen.content
    look("clicked")


def test_a_screenshot_can_be_taken_away(opened, look):
    with opened.expect_download(timeout=30_000) as download:
        opened.get_by_role("button", name="Screenshot").click()
    assert download.value.suggested_filename == "worldline.png"


def test_everything_together(opened, viewer, look):
    viewer.change(show="all frames", trails=True, cameras=True, time=5, budget=60_000)
    opened.wait_for_timeout(1500)
    picture = points(look("all"))
    assert picture.std() > 20
    viewer.change(follow=True)
    opened.wait_for_timeout(1500)
    assert (np.abs(points(look("follow")) - picture).max(axis=-1) > 30).mean() > 0.1
