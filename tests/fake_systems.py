"""A system that makes a scene at once, for tests of what surrounds systems.

`python -m fake_systems ARGUMENTS` is the command line with this system registered. Each of the
stages named in $FAKE_PAUSE waits until it is stopped.
"""

import os
import signal
import sys
import time

import numpy as np

from worldline.errors import ReconstructionError
from worldline.io import Clip
from worldline.scene import Cameras, Scene, StillField
from worldline.systems.registry import SYSTEMS, System
from worldline.systems.stages import Report, Stages

FAKE = System("fake", "brightness as depth", "1", "fake_systems:fake")


def fake(clip: Clip, stages: Stages, *, seed: int) -> Scene:
    """Brightness as depth, plus noise of the seed."""
    count, height, width = clip.frames.shape[:3]
    if count > 1 and not clip.frames.any():
        raise ReconstructionError("every frame is black: nothing can be matched")

    def brightness(report: Report) -> dict[str, np.ndarray]:
        _pause("light", report)
        return {"light": clip.frames.mean(axis=-1, dtype=np.float32)}

    def depth(report: Report) -> dict[str, np.ndarray]:
        _pause("depth", report)
        noise = np.random.default_rng(seed).random((count, height, width), np.float32)
        return {"depth": 1 + light + noise, "confidence": (light > 100).astype(np.float32)}

    light = stages.run("light", brightness)["light"]
    made = stages.run("depth", depth)
    K = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1.0]])
    cameras = Cameras(
        np.tile(np.eye(4), (count, 1, 1)),
        np.tile(K, (count, 1, 1))
        if clip.intrinsics is None
        else np.tile(clip.intrinsics, (count, 1, 1)),
        np.ones(count, bool),
        np.full(count, np.nan),
        motion="still" if count > 1 else "unknown",
    )
    return Scene(
        clip.frames,
        clip.times,
        cameras,
        made["depth"] if count > 1 else np.full_like(made["depth"], np.nan),
        made["confidence"],
        np.zeros_like(made["depth"]),
        StillField(height, width),
        clip.original_size,
        provenance={"warnings": ["this system is a fake"]},
    )


def _pause(name: str, report: Report) -> None:
    report(0, 1)
    while name in os.environ.get("FAKE_PAUSE", "").split(","):
        time.sleep(0.02)


def register() -> None:
    SYSTEMS["fake"] = FAKE


if __name__ == "__main__":
    from worldline.cli import main

    # A shell that starts the tests in the background makes them deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    register()
    sys.exit(main())
