"""The cameras of a clip: where each frame was taken from, and through which lens."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float64

from worldline.errors import InputError
from worldline.geometry.projection import invert

CameraMotion = Literal["free", "rotation", "still", "unknown"]
_MOTIONS = ("free", "rotation", "still", "unknown")


@dataclass(frozen=True, eq=False)
class Cameras:
    """Pinhole cameras of N frames, in OpenCV axes; the world is the first frame's camera.

    world_from_camera: rigid poses, translation in scene units.
    intrinsics: in pixels of the scene's frames, the top-left pixel's centre at (0.5, 0.5).
    registered: solved from data rather than interpolated between frames that were.
    focal_sigma: one sigma of the focal length in pixels; 0 if it was given, NaN if unknown.
    motion: which rung of the ladder explained the camera: "free" translation, "rotation" only,
        "still", or "unknown" (a single frame).
    distortion: OpenCV's (k1, k2, p1, p2, k3) that was undone on reading, None if there was none.

    Raises InputError when the arrays do not describe such cameras.
    """

    world_from_camera: Float64[np.ndarray, "N 4 4"]
    intrinsics: Float64[np.ndarray, "N 3 3"]
    registered: Bool[np.ndarray, " N"]
    focal_sigma: Float64[np.ndarray, " N"]
    motion: CameraMotion = "free"
    distortion: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name, dtype in _DTYPES.items():
            object.__setattr__(self, name, np.asanyarray(getattr(self, name), dtype=dtype))
        if self.distortion is not None:
            object.__setattr__(self, "distortion", tuple(float(k) for k in self.distortion))
        self._check_shapes()
        _check_poses(self.world_from_camera)
        _check_intrinsics(self.intrinsics)
        if self.motion not in _MOTIONS:
            raise InputError(f"cameras.motion is {self.motion!r}; it must be one of {_MOTIONS}")

    def __len__(self) -> int:
        return len(self.world_from_camera)

    @property
    def camera_from_world(self) -> Float64[np.ndarray, "N 4 4"]:
        """The inverse poses: world points into each camera's axes."""
        return invert(torch.from_numpy(np.array(self.world_from_camera))).numpy()

    def _check_shapes(self) -> None:
        n = len(self.world_from_camera) if self.world_from_camera.ndim else 0
        if n == 0:
            raise InputError("cameras.world_from_camera is empty; a scene has at least one frame")
        for name, tail in _TAILS.items():
            got = getattr(self, name).shape
            if got != (n, *tail):
                raise InputError(f"cameras.{name} has shape {got}; expected {(n, *tail)}")


_DTYPES = {
    "world_from_camera": np.float64,
    "intrinsics": np.float64,
    "registered": np.bool_,
    "focal_sigma": np.float64,
}
_TAILS: dict[str, tuple[int, ...]] = {
    "world_from_camera": (4, 4),
    "intrinsics": (3, 3),
    "registered": (),
    "focal_sigma": (),
}


def _check_poses(poses: Float64[np.ndarray, "N 4 4"]) -> None:
    if not np.isfinite(poses).all():
        raise InputError("cameras.world_from_camera holds NaN or infinite numbers")
    rotation = poses[:, :3, :3]
    skewness = np.abs(rotation @ rotation.mT - np.eye(3)).max(axis=(1, 2))
    bottom = np.abs(poses[:, 3] - (0.0, 0.0, 0.0, 1.0)).max(axis=1)
    broken = (skewness > 1e-4) | (bottom > 1e-6) | (np.linalg.det(rotation) < 0)
    if broken.any():
        raise InputError(
            f"cameras.world_from_camera[{int(broken.argmax())}] is not a rigid transform: "
            "its rotation must be orthonormal with determinant +1, its last row 0 0 0 1"
        )
    if np.abs(poses[0] - np.eye(4)).max() > 1e-6:
        raise InputError(
            "cameras.world_from_camera[0] is not the identity; the world is the first frame's "
            "camera, so multiply every pose (and every point) by the inverse of the first"
        )


def _check_intrinsics(intrinsics: Float64[np.ndarray, "N 3 3"]) -> None:
    if not np.isfinite(intrinsics).all():
        raise InputError("cameras.intrinsics holds NaN or infinite numbers")
    if (intrinsics[:, [0, 1], [0, 1]] <= 0).any():
        raise InputError("cameras.intrinsics has a focal length that is not positive")
    rest = intrinsics[:, [0, 1, 2, 2, 2], [1, 0, 0, 1, 2]]
    if np.abs(rest - (0.0, 0.0, 0.0, 0.0, 1.0)).max() > 1e-9:
        raise InputError("cameras.intrinsics must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]")
