"""What tests of several floors share: real clips beside the repository, small clips, the device."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="torch device that the tests compute on")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--device"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and papers, which is not part of the repository."""
    for folder in (REPOSITORY.parent / "shared", REPOSITORY / "shared"):
        if (folder / "data").is_dir():
            return folder
    pytest.skip("the shared folder of real clips does not lie beside this repository")


@pytest.fixture(scope="session")
def textured() -> Callable[..., np.ndarray]:
    """Frames [N,H,W,3] of a camera that slides along a wall with a nearer box in front of it."""

    def make(count: int = 8, width: int = 96, height: int = 64) -> np.ndarray:
        generator = np.random.default_rng(1)
        coarse = generator.integers(30, 225, (height // 4 + 1, width // 2, 3), np.uint8)
        wall = np.kron(coarse, np.ones((4, 4, 1), np.uint8))
        frames = np.stack([wall[:height, i : i + width] for i in range(count)])
        box = wall[: height // 3, -width // 3 :][::-1]
        for i, frame in enumerate(frames):
            left = width // 2 - 2 * i
            frame[height // 3 : height // 3 + len(box), left : left + box.shape[1]] = box
        return frames

    return make


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """Encode frames as H.264 at `path`."""

    def write(path: Path, frames: Sequence[np.ndarray] | np.ndarray, rate: int = 10) -> Path:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(rate))
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.options = {"preset": "ultrafast", "crf": "18"}
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        return path

    return write
