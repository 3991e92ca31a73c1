"""How soon the viewer shows a large scene, and in how much memory.

    python benchmarks/viewer.py [--frames 100] [--width 834] [--height 600]

Makes a scene of so many frames (500 400 points each unless told otherwise, a tenth of which move
by tracks), starts `worldline view` on it, opens the page in headless Chromium, which draws in
software on the same cores, and waits for the first points on the canvas: seconds since the command
started, in a browser that is running and has drawn an empty page before. Then the page's time
slider is moved, frames alone and gathered, for the peak memory; and the time from a change to the
last byte handed to the page is measured without a browser.
"""

import argparse
import base64
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from worldline.scene import Cameras, Scene, TrackField, load_scene
from worldline.viewer.app import Viewer
from worldline.viewer.server import address, close_server, open_server
from worldline.viewer.state import SHOWS, ViewState

SOFTWARE = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
SPREAD = 6  # of grey levels: an empty page has hardly any; viser fades points in from there


def main() -> None:
    """Print the measured figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--width", type=int, default=834)
    parser.add_argument("--height", type=int, default=600)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="worldline-viewer-") as folder:
        path = Path(folder) / "large.scene"
        large_scene(asked.frames, asked.width, asked.height).save(path)
        figures = opened_and_used(path) | redraws(path)
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}, indent=2))


def large_scene(count: int, width: int, height: int) -> Scene:
    """A wavy wall that a camera passes, a tenth of it sliding along with 400 tracks."""
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 3] = 0.02 * np.arange(count)
    focal = 0.84 * width
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    y, x = np.mgrid[:height, :width].astype(np.float32)
    depth = np.tile(4 + np.sin(x / 50) + 0.2 * np.sin(y / 31), (count, 1, 1)).astype(np.float32)
    dynamic = np.tile((np.abs(x - 0.4 * width) < 0.05 * width).astype(np.float32), (count, 1, 1))
    uv = rng.uniform((0.35 * width, 0), (0.45 * width, height), (400, 2))
    xyz = np.concatenate([(uv - (width / 2, height / 2)) / focal * 4, np.full((400, 1), 4.0)], 1)
    xyz = np.repeat(xyz[:, None], count, axis=1) + poses[:, :3, 3]
    motion = TrackField(
        np.repeat(uv[:, None], count, axis=1).astype(np.float32),
        xyz.astype(np.float32),
        np.ones((400, count), bool),
        dynamic,
        depth,
    )
    known = np.ones(count, bool)
    return Scene(
        frames=rng.integers(90, 255, (count, height, width, 3), np.uint8),
        times=np.arange(count) / 24,
        cameras=Cameras(poses, np.tile(intrinsics, (count, 1, 1)), known, np.zeros(count)),
        depth=depth,
        confidence=np.ones((count, height, width), np.float32),
        dynamic=dynamic,
        motion=motion,
        original_size=(width, height),
    )


def opened_and_used(path: Path) -> dict[str, float]:
    """Seconds until the address is told and until points are seen; peak memory of the server."""
    chromium = shutil.which("chromium") or sys.exit("Chromium is needed")
    command = [str(Path(sys.executable).with_name("worldline")), "view", str(path), "--json"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(SOFTWARE))
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        warm_up(page)
        began = time.time()
        server = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            served = time.time() - began
            page.goto(url, wait_until="commit")
            seen = wait_for_points(page) - began
            look_around(page)
            memory = peak_memory(server.pid)
        finally:
            server.terminate()
            server.wait()
    return {"address told, s": served, "first picture, s": seen, "peak memory, GB": memory}


def warm_up(page: Page) -> None:
    """The browser has drawn something in 3D before, as those that are in use have."""
    server = open_server(port=0)
    page.goto(address(server))
    page.wait_for_timeout(3000)
    page.goto("about:blank")
    close_server(server)


def wait_for_points(page: Page) -> float:
    """The moment at which points were first presented, from what the browser presents itself.

    Asking for screenshots instead would slow it down.
    """
    shown: list[float] = []
    session = page.context.new_cdp_session(page)

    def look(event: dict) -> None:
        picture = Image.open(io.BytesIO(base64.b64decode(event["data"]))).convert("L")
        middle = np.asarray(picture)[100:300, 150:450]
        if middle.std() > SPREAD:
            shown.append(event["metadata"]["timestamp"])
        session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    session.on("Page.screencastFrame", look)
    session.send("Page.startScreencast", {"format": "jpeg", "maxWidth": 640, "maxHeight": 360})
    while not shown:
        page.wait_for_timeout(50)
    session.send("Page.stopScreencast")
    return shown[0]


def look_around(page: Page) -> None:
    """Every fourth frame through the page's own slider, alone and gathered with all others."""
    slider = page.get_by_role("slider").first
    for show in ("each frame", "all frames"):
        page.get_by_role("combobox", name="Show").click()
        page.get_by_role("option", name=show).click()
        for _ in range(20):
            for _ in range(4):
                slider.press("ArrowRight")
            page.wait_for_timeout(300)
        page.wait_for_timeout(3000)


def peak_memory(pid: int) -> float:
    """GB that a process held at most, mapped files included (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e6


def redraws(path: Path) -> dict[str, float]:
    """Median seconds from a change until the page has been handed all that is new."""
    viewer = Viewer(open_server(port=0), [load_scene(path)], ViewState())
    figures = {}
    for show in SHOWS:
        for budget in (150_000, 600_000):
            seconds = []
            for time_ in range(0, len(viewer.scene), max(1, len(viewer.scene) // 12)):
                state = ViewState(show=show, time=time_, budget=budget)
                began = time.perf_counter()
                viewer.draw(state)
                seconds.append(time.perf_counter() - began)
            figures[f"{show}, {budget} points, s"] = float(np.median(seconds))
    viewer.stop()
    return figures


if __name__ == "__main__":
    main()
