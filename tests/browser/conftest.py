"""A browser that draws in software, and what it sees."""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from demo_scene import demo_scene
from worldline.scene import Scene

REPOSITORY = Path(__file__).resolve().parents[2]
DRAWN_IN_SOFTWARE = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


@pytest.fixture(scope="session")
def painted() -> Scene:
    """The demo clip, grey, and red where the figure walks."""
    return demo_scene(paint=True)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or pytest.fail("there is no chromium: make test-browser")
    with sync_playwright() as playwright:
        # containers run tests as root, for whom Chromium has no sandbox
        options = ["--no-sandbox", *DRAWN_IN_SOFTWARE]
        yield playwright.chromium.launch(executable_path=chromium, args=options)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must not complain."""
    page = browser.new_page(viewport={"width": 960, "height": 600})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    yield page
    page.close()
    assert not complaints


@pytest.fixture
def look(page: Page, request: pytest.FixtureRequest) -> Callable[[str], np.ndarray]:
    """Takes a picture of the page, kept as out/browser/TEST_NAME.png."""
    folder = REPOSITORY / "out" / "browser"
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str) -> np.ndarray:
        page.wait_for_timeout(400)
        png = page.screenshot(path=folder / f"{request.node.name}_{name}.png")
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)

    return take
