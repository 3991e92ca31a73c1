"""Where to look from, and how large things are to be drawn."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int

from worldline.scene import Scene
from worldline.viewer.state import ViewState

_OVERLAPPING = 3  # frames that, gathered, fill one another's gaps


@dataclass(frozen=True)
class Placement:
    """A view of the scene from behind its first camera, world axes and scene units.

    distance: median depth of the first frame whose depth is known; 1 if none is.
    """

    eye: Float64[np.ndarray, "3"]
    target: Float64[np.ndarray, "3"]
    distance: float


def place(scene: Scene) -> Placement:
    """The view to start with."""
    distance = next((d for i in range(len(scene)) if (d := _median_depth(scene, i)) > 0), 1.0)
    back, up = 0.36 * distance, 0.18 * distance
    return Placement(np.array([0.0, -up, -back]), np.array([0.0, 0.0, distance]), distance)


def orbit(placement: Placement, count: int, sway: float = 22.0) -> Float64[np.ndarray, "count 4 4"]:
    """Poses (world_from_camera) of a loop around the target, `sway` degrees to either side.

    It does not go all around: what the clip's cameras never saw has no points.
    """
    phase = 2 * np.pi * np.arange(count) / count
    yaw, pitch = np.radians(sway) * np.sin(phase), np.radians(sway / 4) * (1 - np.cos(phase))
    offset = placement.eye - placement.target
    eyes = placement.target + _turned(offset, yaw, pitch)
    return np.stack([look_at(eye, placement.target) for eye in eyes])


def look_at(
    eye: Float[np.ndarray, "3"], target: Float[np.ndarray, "3"]
) -> Float64[np.ndarray, "4 4"]:
    """Pose (world_from_camera) of an OpenCV camera at `eye`, level, with `target` in its middle."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(forward, right), forward, eye], axis=-1)
    return pose


def point_size(scene: Scene, placement: Placement, state: ViewState) -> float:
    """Side of the patch that one of the state's points stands for at the placement's distance."""
    width, height = scene.size
    sources = len(scene) if state.show == "all frames" else 1
    drawn = max(1, min(width * height, state.budget // sources))
    pixel = placement.distance / float(np.median(scene.cameras.intrinsics[:, 0, 0]))
    return state.size * pixel * float(np.sqrt(width * height / drawn / min(sources, _OVERLAPPING)))


def cameras_to_draw(scene: Scene, placement: Placement, most: int) -> Int[np.ndarray, " K"]:
    """Frames whose cameras stand apart from one another along the path, at most `most`."""
    path = scene.cameras.world_from_camera[:, :3, 3]
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=-1))])
    step = max(way[-1] / most * 1.001, 0.03 * placement.distance)
    return np.unique((way / step).astype(int), return_index=True)[1]


def fields_of_view(scene: Scene) -> Float64[np.ndarray, " N"]:
    """Vertical fields of view of the cameras, radians."""
    return 2 * np.arctan(scene.size[1] / 2 / scene.cameras.intrinsics[:, 1, 1])


def _median_depth(scene: Scene, i: int) -> float:
    depth = scene.depth[i, ::4, ::4]
    known = depth[np.isfinite(depth) & (depth > 0)]
    return float(np.median(known)) if len(known) else 0.0


def _turned(
    offset: Float64[np.ndarray, "3"],
    yaw: Float64[np.ndarray, " M"],
    pitch: Float64[np.ndarray, " M"],
) -> Float64[np.ndarray, "M 3"]:
    """The offset raised by `pitch` (about x), then turned by `yaw` (about the vertical)."""
    x, y, z = offset
    y, z = y * np.cos(pitch) + z * np.sin(pitch), z * np.cos(pitch) - y * np.sin(pitch)
    return np.stack([x * np.cos(yaw) + z * np.sin(yaw), y, z * np.cos(yaw) - x * np.sin(yaw)], -1)
