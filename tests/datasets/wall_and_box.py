"""A scene known in closed form: a wall, and a square that slides before it, from a moving camera.

Tests write it as a dataset lays it out, in that dataset's units, axes and pixels, and read it back.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from worldline.datasets.clip import Clip, PointTracks

WALL = 4.0  # z of the wall in the world
BOX = 3.0  # z of the square
HALF = 0.5  # half its side


@dataclass(frozen=True)
class Truth:
    K: np.ndarray  # [3,3], the top-left pixel's centre at (0.5, 0.5)
    world_from_camera: np.ndarray  # [N,4,4], OpenCV axes
    depth: np.ndarray  # [N,H,W], z
    ray: np.ndarray  # [N,H,W], along the ray
    on_box: np.ndarray  # [N,H,W]
    xyz: np.ndarray  # [N,H,W,3], world
    box: np.ndarray  # [N,3], the square's centre
    frames: np.ndarray  # [N,H,W,3]

    def tracks(self) -> PointTracks:
        """Points of the wall and of the square, all before the camera."""
        still = np.array([[-0.9, -0.6, WALL], [0.8, 0.3, WALL], [0.0, 0.0, WALL]])
        local = np.array([[-0.2, -0.3, 0.0], [0.1, 0.2, 0.0]])
        count = len(self.box)
        xyz = np.concatenate(
            [np.repeat(still[:, None], count, 1), local[:, None] + self.box[None]], 0
        )
        uv, _ = self.project(xyz)
        covered = (np.abs(still[:, None, :2] - self.box[None, :, :2]) < HALF).all(-1)
        visible = np.concatenate([~covered, np.ones((2, count), bool)])
        height, width = self.depth.shape[1:]
        visible &= ((uv >= 0) & (uv < [width, height])).all(-1)
        return PointTracks(visible, uv, xyz, np.array([False] * 3 + [True] * 2))

    def project(self, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uv [M,N,2] and z [M,N] of points [M,N,3] in the frames of their columns."""
        camera_from_world = np.linalg.inv(self.world_from_camera)
        local = np.einsum("nij,mnj->mni", camera_from_world[:, :3, :3], xyz)
        local += camera_from_world[:, :3, 3]
        pixels = local @ self.K.T
        return pixels[..., :2] / pixels[..., 2:], local[..., 2]


def truth(
    count: int = 3,
    width: int = 48,
    height: int = 32,
    focal: float = 40.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Truth:
    """The scene in ``count`` frames; ``shift`` moves the principal point off the middle."""
    center = (width / 2 + shift[0], height / 2 + shift[1])
    K = np.array([[focal, 0, center[0]], [0, focal, center[1]], [0, 0, 1.0]])
    pose = np.tile(np.eye(4), (count, 1, 1))
    steps = np.arange(count)
    angles = np.stack([2.0 + 0 * steps, 3.0 * steps, 4.0 + steps], axis=-1)
    pose[:, :3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    pose[:, :3, 3] = np.stack([0.1 * steps, -0.05 * steps, 0.03 * steps], axis=-1)
    box = np.stack([-0.3 + 0.2 * steps, 0.1 + 0 * steps, BOX + 0 * steps], axis=-1)
    y, x = np.mgrid[:height, :width] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(K).T
    way = np.einsum("nij,hwj->nhwi", pose[:, :3, :3], rays)
    start = pose[:, None, None, :3, 3]
    z_wall, z_box = ((plane - start[..., 2]) / way[..., 2] for plane in (WALL, BOX))
    at_box = start + z_box[..., None] * way - box[:, None, None]
    on_box = (np.abs(at_box[..., :2]) < HALF).all(-1)
    depth = np.where(on_box, z_box, z_wall)
    xyz = start + depth[..., None] * way
    colours = np.where(on_box[..., None], [200, 40, 30], [60, 90, 160])
    shade = (np.arange(width) * 2 % 60)[None, None, :, None]
    frames = (colours + shade * [0, 1, 0]).astype(np.uint8)
    ray = depth * np.linalg.norm(rays, axis=-1)
    return Truth(K, pose, depth, ray, on_box, xyz, box, frames)


def check_cameras(clip: Clip, scene: Truth, atol: float = 1e-6) -> None:
    """The clip has the scene's cameras."""
    assert clip.intrinsics is not None and clip.world_from_camera is not None
    np.testing.assert_allclose(
        clip.intrinsics, np.broadcast_to(scene.K, (len(clip), 3, 3)), atol=1e-4
    )
    np.testing.assert_allclose(clip.world_from_camera, scene.world_from_camera, atol=atol)


def check_depth(clip: Clip, scene: Truth, atol: float = 1e-6) -> None:
    """The clip's depth, unprojected by its own cameras, lies on the wall and on the square."""
    assert clip.intrinsics is not None and clip.world_from_camera is not None
    assert clip.depth is not None
    world = unprojected(clip)
    on_box = scene.on_box
    known = np.isfinite(clip.depth)
    assert known.mean() > 0.9
    np.testing.assert_allclose(world[known & ~on_box][:, 2], WALL, atol=atol)
    np.testing.assert_allclose(world[known & on_box][:, 2], BOX, atol=atol)
    np.testing.assert_allclose(world[known], scene.xyz[known], atol=3 * atol)


def unprojected(clip: Clip) -> np.ndarray:
    """World points [N,H,W,3] of the clip's depth."""
    assert clip.depth is not None
    height, width = clip.depth.shape[1:]
    y, x = np.mgrid[:height, :width] + 0.5
    pixels = np.stack([x, y, np.ones_like(x)], -1)
    rays = np.einsum("nij,hwj->nhwi", np.linalg.inv(clip.intrinsics), pixels)
    local = rays * clip.depth[..., None]
    turned = np.einsum("nij,nhwj->nhwi", clip.world_from_camera[:, :3, :3], local)
    return turned + clip.world_from_camera[:, None, None, :3, 3]


def check_tracks(clip: Clip, scene: Truth, atol: float = 1e-3) -> None:
    """The clip's tracks project to their own pixels by the clip's own cameras."""
    tracks = clip.tracks
    assert tracks is not None and tracks.uv is not None and tracks.xyz is not None
    uv, z = scene.project(tracks.xyz)
    known = np.isfinite(tracks.uv).all(-1) & (z > 0)
    assert known.any()
    np.testing.assert_allclose(tracks.uv[known], uv[known], atol=atol)
