"""A small analytic world: a slanted wall, and in front of it a square that slides rigidly."""

import numpy as np

from worldline.scene import Cameras, Scene, TrackField

N, H, W = 5, 36, 48
VELOCITY = np.array([0.05, 0.02, 0.01], np.float32)  # of the square, scene units per frame
MOVER_Z, WALL_Z = 2.0, 4.0
K = np.array([[50.0, 0.0, 24.0], [0.0, 50.0, 18.0], [0.0, 0.0, 1.0]])


def make_cameras(n: int = N) -> Cameras:
    poses = np.tile(np.eye(4), (n, 1, 1))
    poses[:, 0, 3] = 0.02 * np.arange(n)
    return Cameras(poses, np.tile(K, (n, 1, 1)), np.ones(n, bool), np.full(n, np.nan))


def square_corners(frame: int) -> tuple[np.ndarray, np.ndarray]:
    centre = np.array([-0.1, 0.0, MOVER_Z]) + VELOCITY * frame
    reach = np.array([0.25, 0.25, 0.0])
    return centre - reach, centre + reach


def make_scene() -> Scene:
    cameras = make_cameras()
    y, x = np.mgrid[:H, :W] + 0.5
    depth = np.full((N, H, W), WALL_Z, np.float32)
    dynamic = np.zeros((N, H, W), np.float32)
    for i in range(N):
        low, high = square_corners(i)
        world_x = (x - K[0, 2]) / K[0, 0] * low[2] + cameras.world_from_camera[i, 0, 3]
        world_y = (y - K[1, 2]) / K[1, 1] * low[2]
        on_it = (world_x > low[0]) & (world_x < high[0]) & (world_y > low[1]) & (world_y < high[1])
        depth[i][on_it], dynamic[i][on_it] = low[2], 1.0
    rng = np.random.default_rng(0)
    return Scene(
        frames=rng.integers(0, 256, (N, H, W, 3), dtype=np.uint8),
        times=np.array([0.0, 0.1, 0.2, 0.4, 0.5]),
        cameras=cameras,
        depth=depth,
        confidence=np.full((N, H, W), 2.0, np.float32),
        dynamic=dynamic,
        motion=make_tracks(cameras, dynamic, depth),
        original_size=(480, 360),
        provenance={"system": "test", "warnings": ["none"]},
    )


def make_tracks(cameras: Cameras, dynamic: np.ndarray, depth: np.ndarray) -> TrackField:
    rng = np.random.default_rng(1)
    low, high = square_corners(0)
    start = rng.uniform(low, high, (40, 3)).astype(np.float32)
    xyz = start[:, None] + VELOCITY * np.arange(N, dtype=np.float32)[:, None]
    in_camera = xyz - cameras.world_from_camera[:, :3, 3].astype(np.float32)
    uv = (in_camera[..., :2] / in_camera[..., 2:] * 50.0 + (24.0, 18.0)).astype(np.float32)
    return TrackField(uv, xyz, np.ones(uv.shape[:2], bool), dynamic, depth)
