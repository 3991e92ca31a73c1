"""A camera before a textured wall: frames, depth and cameras that agree, unless asked otherwise."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from worldline.scene import Cameras, Scene, StillField

N, H, W = 12, 120, 160
FOCAL, DISTANCE = 130.0, 4.0
STEP = 2.0  # px that the picture moves from frame to frame
K = np.array([[FOCAL, 0.0, W / 2], [0.0, FOCAL, H / 2], [0.0, 0.0, 1.0]])


def wall(**changes: Any) -> Scene:
    """The camera goes to the right; all is as it should be."""
    poses = np.tile(np.eye(4), (N, 1, 1))
    poses[:, 0, 3] = STEP * DISTANCE / FOCAL * np.arange(N)
    shifts = np.tile(np.eye(3), (N, 1, 1))
    shifts[:, 0, 2] = -STEP * np.arange(N)
    return scene(photographed(shifts), poses, **changes)


def turning() -> Scene:
    """It turns to the right by half a degree a frame; the depth is a guess."""
    poses = np.tile(np.eye(4), (N, 1, 1))
    poses[:, :3, :3] = Rotation.from_rotvec(
        0.5 * np.arange(N)[:, None] * [0, 1, 0], degrees=True
    ).as_matrix()
    centred = K - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # OpenCV's pixels
    warps = centred @ poses[:, :3, :3].mT @ np.linalg.inv(centred)
    return unmeasured(scene(photographed(warps), poses), "rotation")


def standing() -> Scene:
    still = np.tile(np.eye(4), (N, 1, 1))
    return unmeasured(scene(photographed(still[:, :3, :3]), still), "still")


def one_frame() -> Scene:
    cut = scene(photographed(np.eye(3)[None]), np.eye(4)[None])
    return replace(unmeasured(cut, "unknown"), depth=np.full((1, H, W), np.nan, np.float32))


def unmeasured(made: Scene, motion: Any) -> Scene:
    cameras = replace(made.cameras, motion=motion)
    return replace(made, cameras=cameras, confidence=np.zeros_like(made.confidence))


def photographed(warps: np.ndarray) -> np.ndarray:
    """The texture under homographies from the first frame's OpenCV pixels to each frame's."""
    offset = np.array([[1.0, 0, -100], [0, 1, -100], [0, 0, 1]])
    return np.stack(
        [cv2.warpPerspective(texture(), warp @ offset, (W, H)) for warp in warps.astype(np.float64)]
    )


@cache
def texture() -> np.ndarray:
    """Blotches of several sizes, around middle grey."""
    noise = np.random.default_rng(0).normal(size=(400, 440, 3)).astype(np.float32)
    octaves = [cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (1.5, 4.0, 10.0)]
    return (110 + 60 * sum(octaves)).clip(20, 200).astype(np.uint8)


def scene(frames: np.ndarray, poses: np.ndarray, sigma: float = 2.0) -> Scene:
    count = len(frames)
    shape = (count, H, W)
    cameras = Cameras(
        poses, np.tile(K, (count, 1, 1)), np.ones(count, bool), np.full(count, sigma), "free"
    )
    return Scene(
        frames=frames,
        times=np.arange(count) / 10.0,
        cameras=cameras,
        depth=np.full(shape, DISTANCE, np.float32),
        confidence=np.ones(shape, np.float32),
        dynamic=np.zeros(shape, np.float32),
        motion=StillField(H, W),
        original_size=(2 * W, 2 * H),
        provenance={"system": "test", "source": "a <wall> & more", "settings": {"seed": 0}},
    )


def mostly_moving() -> Scene:
    moving = np.zeros((N, H, W), np.float32)
    moving[:, :, : int(0.7 * W)] = 1.0
    return replace(wall(), dynamic=moving, confidence=1.0 - moving)


def brighter_from_the_fifth() -> Scene:
    gain = np.where(np.arange(N) < 5, 1.0, 1.35)[:, None, None, None]
    made = wall()
    return replace(made, frames=(made.frames * gain).clip(0, 255).astype(np.uint8))


def unregistered() -> Scene:
    made = wall()
    solved = ~np.isin(np.arange(N), (3, 6, 7))
    return replace(made, cameras=replace(made.cameras, registered=solved))


def wrong_cameras() -> Scene:
    made = wall()
    poses = made.cameras.world_from_camera.copy()
    poses[:, 0, 3] *= 2.5
    return replace(made, cameras=replace(made.cameras, world_from_camera=poses))


def little_depth() -> Scene:
    measured = np.zeros((N, H, W), np.float32)
    measured[:, :, : W // 5] = 1.0
    return replace(wall(), confidence=measured)


def unseen() -> Scene:
    """Frames so small that optical flow sees nothing."""
    made = wall()
    parts = {name: getattr(made, name)[:, :24, :24] for name in ("frames", "depth", "confidence")}
    return replace(made, **parts, dynamic=made.dynamic[:, :24, :24], motion=StillField(24, 24))


WALLS: dict[str, Callable[[], Scene]] = {
    "still": standing,
    "rotation": turning,
    "single": one_frame,
    "focal": lambda: wall(sigma=0.25 * FOCAL),
    "moving": mostly_moving,
    "exposure": brighter_from_the_fifth,
    "unregistered": unregistered,
    "flow": wrong_cameras,
    "depth": little_depth,
    "unchecked": unseen,
}
