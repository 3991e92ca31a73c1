"""The live viewer: its controls, and what they change in the picture."""

import io
import threading
from contextlib import contextmanager
from dataclasses import replace

import av
import numpy as np
import pytest
from seeing import centre, red, true_centre

from worldline.scene import Cameras, Scene
from worldline.viewer.app import Viewer
from worldline.viewer.server import address, open_server
from worldline.viewer.state import ViewState

pytestmark = pytest.mark.browser
LAST, SIZE = 7, (960, 600)
PLAIN = ViewState(show="one frame", trails=False, cameras=False, budget=15_000)


@contextmanager
def running(viewer: Viewer):
    thread = threading.Thread(target=viewer.run, daemon=True)
    thread.start()
    try:
        yield viewer
    finally:
        viewer.stop()
        thread.join(timeout=10)


@pytest.fixture
def viewer(painted):
    with running(Viewer(open_server(port=18090), [painted], PLAIN)) as viewer:
        yield viewer


@pytest.fixture
def opened(page, viewer):
    return show(page, viewer)


def show(page, viewer: Viewer):
    """The page once it has drawn; its own warning that it draws in software is taken away."""
    page.goto(address(viewer.server))
    page.get_by_text("Source", exact=True).wait_for(timeout=20_000)
    page.wait_for_timeout(1500)
    page.add_style_tag(content=".mantine-Notifications-root { display: none }")
    return page


def press(page, slider: str, key: str) -> None:
    """Press a key on a slider's thumb: they stand in the order of the panel."""
    page.get_by_role("slider").nth(["Time", "Source", "Speed"].index(slider)).press(key)
    page.wait_for_timeout(600)


def points(picture: np.ndarray) -> np.ndarray:
    """The picture where no panel covers it."""
    return picture[:, :620]


@pytest.mark.parametrize("source", [0, LAST])
def test_sliders_move_what_moves(opened, viewer, painted, look, source):
    viewer.change(static=False)
    if source:
        press(opened, "Source", "End")
    assert viewer.state.source == source
    before = centre(red(points(look("early"))))
    press(opened, "Time", "End")
    assert viewer.state.time == LAST
    moved = centre(red(points(look("late")))) - before
    truth = true_centre(painted, source, LAST, SIZE) - true_centre(painted, source, 0, SIZE)
    assert np.linalg.norm(truth) > 100
    np.testing.assert_allclose(moved, truth, atol=0.15 * np.linalg.norm(truth))


def coarse(picture: np.ndarray) -> np.ndarray:
    """Means of blocks: viser draws at fewer pixels where it is slow, so single ones tell little."""
    height, width = (side // 20 * 20 for side in picture.shape[:2])
    blocks = picture[:height, :width].reshape(height // 20, 20, width // 20, 20, 3)
    return blocks.mean(axis=(1, 3))


def test_what_stands_still_does_not_move(opened, viewer, look):
    everything = {}
    for moving in (True, False):
        viewer.change(moving=moving)
        for key in ("Home", "End"):
            press(opened, "Time", key)
            everything[moving, key] = coarse(points(look(f"{key}{'_moving' if moving else ''}")))
    assert viewer.state.time == LAST
    still = np.abs(everything[False, "End"] - everything[False, "Home"])
    all_of_it = np.abs(everything[True, "End"] - everything[True, "Home"])
    assert everything[False, "End"].std() > 20
    assert still.max() < 40 and still.mean() < 2
    assert all_of_it.max() > 100


def test_it_plays_and_stops(opened, viewer):
    seen, drawn = set(), viewer.draw
    viewer.draw = lambda state: (seen.add(state.time), drawn(state))
    press(opened, "Speed", "End")
    assert viewer.state.speed == 10
    opened.get_by_role("checkbox").first.check()
    opened.wait_for_timeout(2500)
    assert seen == set(range(LAST + 1))
    shown = opened.get_by_role("slider").first.get_attribute("aria-valuenow")
    opened.get_by_role("checkbox").first.uncheck()
    opened.wait_for_timeout(600)
    stopped = viewer.state.time
    opened.wait_for_timeout(800)
    assert viewer.state.time == stopped
    assert 0 <= int(shown) <= LAST


def test_following_looks_through_the_frame_s_camera(opened, viewer, painted, look):
    viewer.change(show="each frame", time=3, static=False)
    opened.get_by_role("checkbox", name="Follow").or_(
        opened.get_by_role("checkbox").last
    ).first.check()
    opened.wait_for_timeout(1500)
    assert viewer.state.follow
    width, height = painted.size
    in_frame = centre(red(painted.frames[3].astype(int)))
    expected = (in_frame - (width / 2, height / 2)) * SIZE[1] / height + np.divide(SIZE, 2)
    np.testing.assert_allclose(centre(red(points(look("follow")))), expected, atol=8)


def test_a_click_follows_the_point(opened, viewer, look):
    viewer.change(static=False)
    opened.wait_for_timeout(600)
    mask = np.argwhere(red(points(look("before_click"))))
    y, x = mask[np.abs(mask - mask.mean(axis=0)).sum(axis=-1).argmin()]
    opened.mouse.click(int(x), int(y))
    opened.get_by_text("of frame 0").wait_for(timeout=10_000)
    assert "moved" in viewer.controls.chosen.content
    look("clicked")


def test_a_screenshot_can_be_taken_away(opened):
    with opened.expect_download(timeout=30_000) as download:
        opened.get_by_role("button", name="Screenshot").click()
    assert download.value.suggested_filename == "worldline.png"


def test_a_turntable_can_be_taken_away(opened, viewer, monkeypatch):
    monkeypatch.setattr("worldline.viewer.app._TURNTABLE", 16)
    viewer.change(time=5)
    with opened.expect_download(timeout=60_000) as download:
        opened.get_by_role("button", name="Turntable").click()
    with av.open(io.BytesIO(download.value.path().read_bytes())) as video:
        pictures = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(pictures) == 16
    assert pictures[0].shape == (SIZE[1], SIZE[0], 3)
    ways = [centre(red(picture.astype(int)))[0] for picture in (pictures[0], pictures[-1])]
    assert ways[1] < ways[0] - 100  # it walks to the left
    assert viewer.state.time == 5


def test_everything_together(opened, viewer, look):
    viewer.change(show="all frames", trails=True, cameras=True, time=5, budget=60_000)
    opened.wait_for_timeout(1500)
    assert points(look("all")).std() > 20


def halved(scene: Scene) -> Scene:
    """The same scene in units twice as large."""
    poses = scene.cameras.world_from_camera.copy()
    poses[:, :3, 3] /= 2
    still = np.zeros(len(scene))
    cameras = Cameras(poses, scene.cameras.intrinsics, still == 0, still)
    return replace(scene, cameras=cameras, depth=scene.depth / 2)


def test_two_scenes_stand_beside_each_other(page, painted, look):
    page.set_viewport_size({"width": 1500, "height": 600})
    state = replace(PLAIN, static=False, budget=30_000)
    with running(
        Viewer(open_server(port=18095), [painted, halved(painted)], state, scales=(1.0, 2.0))
    ) as viewer:
        show(page, viewer)
        x = np.argwhere(red(look("beside")[:, :1160]))[:, 1]
        assert np.diff(np.sort(x)).max() > 40  # two figures, with room between them
        viewer.change(apart=0.0)
        page.wait_for_timeout(800)
        both = red(look("over")[:, :1160])
        viewer.stages[1].node.visible = False
        page.wait_for_timeout(800)
        alone = red(look("alone")[:, :1160])
        assert (both != alone).mean() < 0.002
        assert alone.sum() > 500
