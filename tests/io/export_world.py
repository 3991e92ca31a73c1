"""A small exact world to export: a wall, and before it a square that slides; the camera turns."""

import numpy as np
from scipy.spatial.transform import Rotation

from worldline.scene import Cameras, Scene, TrackField

W, H = 40, 24
ORIGINAL = (203, 119)  # of another shape than the frames: x and y scale differently
VELOCITY = np.array([0.06, 0.02, 0.03])  # of the square, scene units per frame
WALL_Z, SQUARE_Z, REACH = 4.0, 2.0, 0.3
UNKNOWN = np.s_[:4, :5]  # depth is NaN there
FILLED = np.s_[:, 20:, 30:]  # depth is a guess there: confidence 0


def make_world(count: int = 4, *, zooms: bool = False) -> Scene:
    """`count` frames; with `zooms`, each has its own focal length."""
    frame = np.arange(count)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.from_rotvec(frame[:, None] * [0.01, -0.02, 0.03]).as_matrix()
    poses[:, :3, 3] = frame[:, None] * [0.05, -0.02, 0.1]
    intrinsics = np.tile([[50.0, 0.0, 17.25], [0.0, 48.0, 14.0], [0.0, 0.0, 1.0]], (count, 1, 1))
    if zooms:
        intrinsics[:, [0, 1], [0, 1]] *= 1 + 0.05 * frame[:, None]
    cameras = Cameras(poses, intrinsics, np.ones(count, bool), np.full(count, 0.5))
    depth, dynamic = _seen(cameras)
    depth[(slice(None), *UNKNOWN)] = np.nan
    confidence = np.full(depth.shape, 2.0, np.float32)
    confidence[FILLED] = 0.0
    return Scene(
        frames=np.random.default_rng(0).integers(0, 256, (count, H, W, 3), dtype=np.uint8),
        times=0.25 * frame + 0.1,
        cameras=cameras,
        depth=depth,
        confidence=confidence,
        dynamic=dynamic,
        motion=_motion(cameras, dynamic),
        original_size=ORIGINAL,
    )


def project(scene: Scene, i: int, points: np.ndarray) -> np.ndarray:
    """Working pixels of world points [...,3] in frame i, by the textbook."""
    return _project(scene.cameras, i, points)


def _project(cameras: Cameras, i: int, points: np.ndarray) -> np.ndarray:
    pose = cameras.world_from_camera[i]
    xyz = (points - pose[:3, 3]) @ pose[:3, :3]
    return (xyz / xyz[..., 2:] @ cameras.intrinsics[i].T)[..., :2]


def _seen(cameras: Cameras) -> tuple[np.ndarray, np.ndarray]:
    """Exact z-depth and which pixels show the square, by cutting each ray with both planes."""
    y, x = np.mgrid[:H, :W] + 0.5
    pixels = np.stack([x, y, np.ones_like(x)], axis=-1)
    depth = np.empty((len(cameras), H, W), np.float32)
    dynamic = np.zeros_like(depth)
    for i, (pose, k) in enumerate(zip(cameras.world_from_camera, cameras.intrinsics, strict=True)):
        ray, eye = pixels @ np.linalg.inv(k).T @ pose[:3, :3].T, pose[:3, 3]
        depth[i] = (WALL_Z - eye[2]) / ray[..., 2]
        near = (SQUARE_Z + VELOCITY[2] * i - eye[2]) / ray[..., 2]
        offset = eye[:2] + near[..., None] * ray[..., :2] - VELOCITY[:2] * i
        on_square = (np.abs(offset) < REACH).all(axis=-1)
        depth[i][on_square], dynamic[i][on_square] = near[on_square], 1.0
    return depth, dynamic


def _motion(cameras: Cameras, dynamic: np.ndarray) -> TrackField:
    corner = np.random.default_rng(1).uniform(-REACH, REACH, (30, 2))
    start = np.column_stack([corner, np.full(30, SQUARE_Z)])
    xyz = start[:, None] + VELOCITY * np.arange(len(cameras))[:, None]
    uv = np.stack([_project(cameras, i, xyz[:, i]) for i in range(len(cameras))], axis=1)
    visible = np.ones(uv.shape[:2], bool)
    return TrackField(uv.astype(np.float32), xyz.astype(np.float32), visible, dynamic)
