"""A tilted plane seen by a moving camera: what each dataset's files are written from in the tests.

Everything is in Worldline's conventions (OpenCV axes, first pixel centre at 0.5); writers turn it
into a dataset's own.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from worldline.datasets.clip import Clip

NORMAL = np.array([0.36, -0.48, -0.8])  # leans against all axes, so any mixed-up axis shows
OFFSET = -3.2  # the plane is NORMAL . x = OFFSET, some 4 m before the cameras
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass
class PlaneWorld:
    """N cameras of H x W pixels before the plane."""

    count: int = 3
    height: int = 40
    width: int = 56
    lens: tuple[float, float, float, float] = (50.0, 52.0, 27.0, 21.5)

    @property
    def K(self) -> np.ndarray:  # noqa: N802 # the field's own name
        fx, fy, cx, cy = self.lens
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def poses(self) -> np.ndarray:
        """World from camera."""
        steps = np.linspace(0, 2, self.count)[:, None]
        poses = np.tile(np.eye(4), (self.count, 1, 1))
        turns = Rotation.from_euler("xyz", steps * np.array([[3.0, -4.0, 5.0]]) + 2.0, degrees=True)
        poses[:, :3, :3] = turns.as_matrix()
        poses[:, :3, 3] = steps * np.array([[0.1, 0.05, -0.07]]) + 0.2
        return poses

    def rows(self, k: int) -> str:
        """A line of a TUM trajectory without its stamp."""
        turn = Rotation.from_matrix(self.poses[k, :3, :3]).as_quat()
        return " ".join(f"{value:.9f}" for value in (*self.poses[k, :3, 3], *turn))

    @property
    def depth(self) -> np.ndarray:
        """z-depth of each pixel's centre (N H W), metres."""
        y, x = np.mgrid[: self.height, : self.width] + 0.5
        rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(self.K).T
        normal = np.einsum("i,nij->nj", NORMAL, self.poses[:, :3, :3])
        offset = OFFSET - self.poses[:, :3, 3] @ NORMAL
        return offset[:, None, None] / np.einsum("hwi,ni->nhw", rays, normal)

    @property
    def frames(self) -> np.ndarray:
        noise = np.random.default_rng(0).integers(0, 256, (self.count, *self.shape, 3))
        return noise.astype(np.uint8)

    def points(self, many: int = 7) -> np.ndarray:
        """World points (many N 3); the first ones stand still, the last moves by 0.3 m a frame."""
        rng = np.random.default_rng(1)
        spots = rng.uniform(-0.5, 0.5, (many, 1, 3)) + np.array([0.3, 0.2, 4.0])
        points = np.repeat(spots, self.count, axis=1)
        points[-1, :, 0] += 0.3 * np.arange(self.count)
        return points

    def in_cameras(self, points: np.ndarray) -> np.ndarray:
        inverse = np.linalg.inv(self.poses)
        turned = np.einsum("nij,mnj->mni", inverse[:, :3, :3], points)
        return turned + inverse[:, :3, 3]

    def pixels(self, points: np.ndarray) -> np.ndarray:
        seen = self.in_cameras(points) @ self.K.T
        return seen[..., :2] / seen[..., 2:]

    def jpegs(self) -> list[bytes]:
        return [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in self.frames]


def write_png(file: Path, values: np.ndarray) -> None:
    """A picture as it is; colours come as RGB."""
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), values[..., ::-1] if values.ndim == 3 else values)


def write_text(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def write_matrix(file: Path, matrix: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(file, matrix, fmt="%.9f")


def steps(depth: np.ndarray, per_metre: float) -> np.ndarray:
    """Depth as the uint16 of a file."""
    return np.rint(depth * per_metre).astype(np.uint16)


def off_plane(clip: Clip) -> float:
    """How far, in metres, the clip's unprojected depth is from the plane at most."""
    count, height, width = clip.depth.shape
    y, x = np.mgrid[:height, :width] + 0.5
    grid = np.stack([x, y, np.ones_like(x)], axis=-1)
    rays = np.einsum("hwj,nij->nhwi", grid, np.linalg.inv(clip.intrinsics))
    local = rays * clip.depth[..., None]
    world = np.einsum("nij,nhwj->nhwi", clip.world_from_camera[:, :3, :3], local)
    world += clip.world_from_camera[:, None, None, :3, 3]
    assert np.isfinite(clip.depth).sum() > 0.9 * count * height * width
    return float(np.nanmax(np.abs(world @ NORMAL - OFFSET)))


def half_a_pixel_off(clip: Clip) -> float:
    """The same when the principal point is half a pixel off: what a wrong convention would make."""
    K = clip.intrinsics.copy()
    K[:, :2, 2] += 0.5
    return off_plane(Clip(**{**vars(clip), "intrinsics": K}))
