"""Small exact worlds for the classic system: moving textures, camera rigs, textured planes."""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

SIZE = (160, 96)  # width, height


def texture(seed: int, height: int, width: int, blur: float = 1.5) -> np.ndarray:
    """Grey levels [height, width] float32, smooth enough that moving them by subpixels is exact."""
    noise = np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(noise, (0, 0), s) for s in (blur, 3 * blur))
    picture = fine / fine.std() + 0.7 * coarse / coarse.std()
    return np.clip(128 + 32 * picture, 5, 250)


def moved(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """RGB frame of a picture whose content moves by an affine [2, 3] of pixel centres."""
    shift = np.array([0.5, 0.5])
    inner = matrix.copy()
    inner[:, 2] += matrix[:, :2] @ shift - shift  # OpenCV counts from the first pixel's centre
    grey = cv2.warpAffine(
        picture, inner, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.repeat(np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def sliding(count: int, velocity: tuple[float, float], seed: int = 0) -> np.ndarray:
    """Frames [N, H, W, 3] of a textured plane whose content goes `velocity` px a frame."""
    picture = texture(seed, 2 * SIZE[1], 2 * SIZE[0])
    start = np.array([SIZE[0] / 2, SIZE[1] / 2])
    return np.stack(
        [moved(picture, np.c_[np.eye(2), np.array(velocity) * t - start]) for t in range(count)]
    )


@dataclass(frozen=True)
class Rig:
    """Exact cameras and points, and the tracks that they make."""

    world_from_camera: np.ndarray
    intrinsics: np.ndarray
    points: np.ndarray
    exact: np.ndarray
    uv: np.ndarray
    visible: np.ndarray
    size: tuple[int, int]

    @property
    def followed(self) -> np.ndarray:
        """None of the tracks is of matched features."""
        return np.zeros(len(self.uv), bool)

    @property
    def centre(self) -> tuple[float, float]:
        return self.size[0] / 2, self.size[1] / 2


def lenses(made) -> np.ndarray:
    """The intrinsics once for each frame."""
    return np.repeat(made.intrinsics[None], len(made.world_from_camera), axis=0)


def rig(  # noqa: PLR0917 # a knob for each way that clips differ
    kind: str,
    count: int = 12,
    points: int = 400,
    noise: float = 0.1,
    focal: float = 600.0,
    seed: int = 0,
    size: tuple[int, int] = (640, 384),
    travel: float = 1.5,
    near: float = 3.0,
    far: float = 8.0,
) -> Rig:
    """Tracks of random points seen by a camera that moves as `kind` says."""
    generator = np.random.default_rng(seed)
    width, height = size
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    s = np.linspace(0, 1, count)
    poses = np.tile(np.eye(4), (count, 1, 1))
    if kind in ("rotation", "free"):
        swing = np.stack([4 * np.sin(3 * s), 14 * s, 3 * np.sin(5 * s)], axis=-1)
        if kind == "free":
            swing = swing * 0.4 * [1, -1, 1]
        poses[:, :3, :3] = Rotation.from_euler("xyz", swing, degrees=True).as_matrix()
    if kind in ("free", "sideways"):
        poses[:, 0, 3] = travel * s
    if kind == "free":
        poses[:, 1, 3] = 0.15 * travel * np.sin(3 * s)
        poses[:, 2, 3] = 0.3 * travel * s**2
    # Points of the frustum of a random camera each, so that every frame has some.
    home = generator.integers(0, count, points)
    pixel = generator.uniform([0, 0, 1], [width, height, 1], (points, 3))
    ray = np.einsum("ij,mj->mi", np.linalg.inv(K), pixel) * generator.uniform(
        near, far, (points, 1)
    )
    world = np.einsum("mij,mj->mi", poses[home, :3, :3], ray) + poses[home, :3, 3]
    seen = np.einsum("nji,mnj->mni", poses[:, :3, :3], world[:, None] - poses[None, :, :3, 3])
    exact = seen[..., :2] / seen[..., 2:] * focal + [width / 2, height / 2]
    visible = (seen[..., 2] > 0.1) & ((exact >= 0) & (exact <= size)).all(axis=-1)
    uv = exact + noise * generator.normal(size=exact.shape)
    return Rig(poses, K, world, exact, uv.astype(np.float32), visible, size)


@dataclass(frozen=True)
class Plane:
    """A textured rectangle (or a whole plane): `corner + a * along + b * up`, texels a metre."""

    corner: tuple[float, float, float]
    along: tuple[float, float, float]
    up: tuple[float, float, float]
    extent: tuple[float, float] | None = None
    seed: int = 0
    texels: float = 40.0
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)  # metres a frame


@dataclass(frozen=True)
class Rendered:
    """Frames of planes with the truth behind them."""

    frames: np.ndarray
    depth: np.ndarray
    label: np.ndarray
    intrinsics: np.ndarray
    world_from_camera: np.ndarray

    @property
    def grey(self) -> np.ndarray:
        return self.frames[..., 0]


def planes(parts: list[Plane], poses: np.ndarray, focal: float = 150.0) -> Rendered:
    """Ray-cast textured planes from given cameras."""
    width, height = SIZE
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    x, y = np.meshgrid(np.arange(2 * width) / 2 + 0.25, np.arange(2 * height) / 2 + 0.25)
    fine = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(K).T  # 2x2 rays a pixel
    tiles = [texture(part.seed, 512, 512) for part in parts]
    frames, depths, labels = [], [], []
    for t, pose in enumerate(poses):
        depth = np.full(x.shape, np.inf)
        grey, label = np.zeros(x.shape, np.float32), np.full(x.shape, -1)
        ray = fine @ pose[:3, :3].T
        for k, part in enumerate(parts):
            axes = np.array([part.along, part.up])
            normal = np.cross(*axes)
            corner = np.array(part.corner) + t * np.array(part.velocity)
            z = ((corner - pose[:3, 3]) @ normal) / (ray @ normal)
            a, b = np.moveaxis((pose[:3, 3] + z[..., None] * ray - corner) @ axes.T, -1, 0)
            hit = (z > 0) & (z < depth)
            if part.extent is not None:
                hit &= (a >= 0) & (b >= 0) & (a < part.extent[0]) & (b < part.extent[1])
            texel = np.stack([a, b], -1).astype(np.float32) * part.texels
            texel[~hit] = 0
            value = cv2.remap(
                tiles[k], texel, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            )
            grey, depth = np.where(hit, value, grey), np.where(hit, z, depth)
            label = np.where(hit, k, label)
        box = grey.reshape(height, 2, width, 2).mean(axis=(1, 3))
        frames.append(np.repeat(np.rint(box).astype(np.uint8)[..., None], 3, axis=-1))
        depths.append(depth.reshape(height, 2, width, 2).mean(axis=(1, 3)))
        labels.append(label[::2, ::2])
    return Rendered(np.stack(frames), np.stack(depths), np.stack(labels), K, np.array(poses))


def slide_poses(count: int, step: float, sink: float = 0.0) -> np.ndarray:
    """Cameras that go `step` metres a frame to the right without turning."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 3] = step * np.arange(count)
    poses[:, 2, 3] = sink * np.arange(count)
    return poses
