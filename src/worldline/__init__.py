"""Worldline: a video, or one image, becomes a queryable 4D scene.

    import worldline

    scene = worldline.reconstruct("clip.mp4")
    scene.pointmap(0, at=10)  # where the points seen in frame 0 are at frame 10's time

The names below load on first use, so that `worldline --help` does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from worldline.models.weights import load
    from worldline.scene import Cameras, Motion, MotionField, PointCloud, Scene, Tracks, load_scene
    from worldline.systems import reconstruct

_HOME = {
    "load": "worldline.models.weights",
    "Cameras": "worldline.scene",
    "Motion": "worldline.scene",
    "MotionField": "worldline.scene",
    "PointCloud": "worldline.scene",
    "Scene": "worldline.scene",
    "Tracks": "worldline.scene",
    "load_scene": "worldline.scene",
    "reconstruct": "worldline.systems",
}

__all__ = [  # noqa: RUF022 - the order a reader meets them in
    "reconstruct",
    "load_scene",
    "load",
    "Scene",
    "Cameras",
    "Motion",
    "MotionField",
    "Tracks",
    "PointCloud",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'worldline' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
