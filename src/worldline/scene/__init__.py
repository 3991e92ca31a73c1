"""The Scene, what it is made of, and its store."""

from worldline.render import Rendering, View
from worldline.scene.cameras import Cameras
from worldline.scene.cloud import PointCloud
from worldline.scene.gathering import Gathering
from worldline.scene.motion import Motion, MotionField, StillField, TrackField
from worldline.scene.scene import Scene, load_scene
from worldline.scene.tracks import Tracks

__all__ = [
    "Cameras",
    "Gathering",
    "Motion",
    "MotionField",
    "PointCloud",
    "Rendering",
    "Scene",
    "StillField",
    "TrackField",
    "Tracks",
    "View",
    "load_scene",
]
