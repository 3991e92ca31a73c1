"""Where the painted demo's red is in a picture, and where it should be."""

import numpy as np

from demo_scene import RED
from worldline.scene import Scene
from worldline.viewer.placement import look_at, place


def red(picture: np.ndarray) -> np.ndarray:
    r, g, b = picture[..., 0], picture[..., 1], picture[..., 2]
    return (r > 120) & (g < 70) & (b < 70)


def centre(mask: np.ndarray) -> np.ndarray:
    """Mean (x, y) of a mask's pixels."""
    assert mask.sum() > 50, "hardly anything is red"
    return np.argwhere(mask).mean(axis=0)[::-1]


def true_centre(scene: Scene, source: int, at: int, size: tuple[int, int]) -> np.ndarray:
    """Mean pixel of `source`'s red points at `at`, seen from the viewer's first view."""
    placement = place(scene)
    pose = look_at(placement.eye, placement.target)
    points = scene.pointmap(source, at=at)[(scene.frames[source] == RED).all(axis=-1)]
    seen = (points - pose[:3, 3]) @ pose[:3, :3]
    focal = size[1] / 2 / np.tan(np.radians(45) / 2)
    return (seen[:, :2] / seen[:, 2:] * focal + np.array(size) / 2).mean(axis=0)
