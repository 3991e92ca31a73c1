"""A small analytic scene for exports: a turning camera, a wall, and a square that slides."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from worldline.geometry.projection import pixel_grid, rays
from worldline.scene import Cameras, Scene, StillField, TrackField
from worldline.scene.visibility import project_to

W, H = 48, 36
VELOCITY = np.array([0.06, -0.03, 0.02])  # of the square, scene units per frame
WALL_Z, SQUARE_Z, REACH = 4.0, 2.0, 0.3
MIDDLE = (W / 2, H / 2)


def make_scene(
    count: int = 4, *, moves: bool = True, principal: tuple[float, float] = (21.5, 19.25)
) -> Scene:
    """Frames at uneven times; the focal length grows a little when the centre is off the middle."""
    cameras = make_cameras(count, principal)
    seen = [_look(cameras, i, moves) for i in range(count)]
    depth = np.stack([one for one, _ in seen]).astype(np.float32)
    dynamic = np.stack([one for _, one in seen]).astype(np.float32)
    ramp = np.stack(np.broadcast_arrays(*np.ogrid[60 : 120 : H * 1j, 80 : 200 : W * 1j]), -1)
    frames = np.concatenate([np.tile(ramp, (count, 1, 1, 1)), 60 + 40 * dynamic[..., None]], -1)
    return Scene(
        frames=frames.astype(np.uint8),
        times=np.array([0.5, 0.6, 0.7, 0.9, 1.0])[:count],
        cameras=cameras,
        depth=depth,
        confidence=np.full((count, H, W), 2.0, np.float32),
        dynamic=dynamic,
        motion=_tracks(cameras, dynamic, depth) if moves else StillField(H, W),
        original_size=(10 * W, 10 * H),
    )


def make_cameras(count: int, principal: tuple[float, float]) -> Cameras:
    step = np.arange(count, dtype=np.float64)
    poses = np.tile(np.eye(4), (count, 1, 1))
    turns = step[:, None] * (2.0, -3.0, 1.0)
    poses[:, :3, :3] = Rotation.from_euler("xyz", turns, degrees=True).as_matrix()
    poses[:, :3, 3] = step[:, None] * (0.05, 0.02, -0.03)
    intrinsics = np.tile(np.eye(3), (count, 1, 1))
    zoom = 0.0 if principal == MIDDLE else 0.5
    intrinsics[:, 0, 0], intrinsics[:, 1, 1] = 50 + zoom * step, 52 + zoom * step
    intrinsics[:, :2, 2] = principal
    return Cameras(poses, intrinsics, np.ones(count, bool), np.full(count, 0.5))


def project(scene: Scene, i: int, points: np.ndarray) -> np.ndarray:
    """Working pixels of world points in frame i, by the scene's own camera."""
    return project_to(points, scene.cameras.intrinsics[i], scene.cameras.camera_from_world[i])[0]


def _look(cameras: Cameras, i: int, moves: bool) -> tuple[np.ndarray, np.ndarray]:
    """z-depth [H,W] of frame i, and where the square is."""
    pixels = pixel_grid(H, W, dtype=torch.float64).reshape(-1, 2)
    pose = cameras.world_from_camera[i]
    beams = rays(pixels, torch.from_numpy(cameras.intrinsics[i])).numpy() @ pose[:3, :3].T
    wall = (WALL_Z - pose[2, 3]) / beams[:, 2]
    centre = np.array([0.0, 0.0, SQUARE_Z]) + VELOCITY * i
    square = (centre[2] - pose[2, 3]) / beams[:, 2]
    hit = pose[:3, 3] + beams * square[:, None]
    on_it = moves & (np.abs(hit - centre)[:, :2] < REACH).all(axis=1)
    return np.where(on_it, square, wall).reshape(H, W), on_it.reshape(H, W)


def _tracks(cameras: Cameras, dynamic: np.ndarray, depth: np.ndarray) -> TrackField:
    count = len(cameras)
    start = np.random.default_rng(1).uniform(-REACH, REACH, (40, 3)) * (1, 1, 0) + (0, 0, SQUARE_Z)
    xyz = start[:, None] + VELOCITY * np.arange(count)[:, None]
    uv = np.stack(
        [
            project_to(xyz[:, i], cameras.intrinsics[i], cameras.camera_from_world[i])[0]
            for i in range(count)
        ],
        axis=1,
    )
    visible = np.ones(uv.shape[:2], bool)
    return TrackField(uv.astype(np.float32), xyz.astype(np.float32), visible, dynamic, depth)
