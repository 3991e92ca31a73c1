"""Cameras out of a dataset's numbers: poses, lenses, and which pose belongs to which frame."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from worldline.datasets.files import reading, some, table
from worldline.errors import InputError

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # x right, y up, z backward: OpenGL's and Blender's
HALF = 0.5  # from integer pixel centres to ours


def pinhole(fx: float, fy: float, cx: float, cy: float) -> Float[np.ndarray, "3 3"]:
    """A camera matrix, in pixels."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]], dtype=np.float64)


def from_integer_centres(K: Float[np.ndarray, "*b 3 3"]) -> Float[np.ndarray, "*b 3 3"]:
    """Camera matrices whose top-left pixel has its centre at (0, 0), brought to (0.5, 0.5)."""
    shifted = np.array(K, dtype=np.float64)
    shifted[..., :2, 2] += HALF
    return shifted


def to_integer_centres(K: Float[np.ndarray, "*b 3 3"]) -> Float[np.ndarray, "*b 3 3"]:
    """Camera matrices of ours for OpenCV, whose top-left pixel has its centre at (0, 0)."""
    shifted = np.array(K, dtype=np.float64)
    shifted[..., :2, 2] -= HALF
    return shifted


def inverse(poses: Float[np.ndarray, "N 4 4"]) -> Float[np.ndarray, "N 4 4"]:
    """Inverse rigid transforms, NaN where unknown."""
    turned = np.swapaxes(poses[:, :3, :3], 1, 2)
    result = np.tile(np.eye(4), (len(poses), 1, 1))
    result[:, :3, :3] = turned
    result[:, :3, 3] = -(turned @ poses[:, :3, 3:])[..., 0]
    return lost_as_nan(result)


def projected(
    xyz: Float[np.ndarray, "*b 3"], K: Float[np.ndarray, "*c 3 3"]
) -> Float[np.ndarray, "*b 2"]:
    """Pixels of points in camera coordinates; NaN behind the camera."""
    z = np.where(xyz[..., 2] > 0, xyz[..., 2], np.nan)
    focal = np.stack([K[..., 0, 0], K[..., 1, 1]], axis=-1)
    return xyz[..., :2] / z[..., None] * focal + K[..., :2, 2]


def moved(
    b_from_a: Float[np.ndarray, "N 4 4"], xyz: Float[np.ndarray, "M N 3"]
) -> Float[np.ndarray, "M N 3"]:
    """Each frame's points moved by its own rigid transform."""
    return np.einsum("nij,mnj->mni", b_from_a[:, :3, :3], xyz) + b_from_a[:, :3, 3]


def matrices(files: Sequence[Path]) -> Float[np.ndarray, "N 4 4"]:
    """One 4x4 matrix a text file; NaN where a pose was lost (not finite in the file)."""
    result = np.stack([table(file, 4, "a 4x4 matrix") for file in files])
    if result.shape[1:] != (4, 4):
        raise InputError(f"{files[0]}: holds {result.shape[1]} rows; a 4x4 matrix has 4.")
    return lost_as_nan(result)


def lost_as_nan(poses: Float[np.ndarray, "N 4 4"]) -> Float[np.ndarray, "N 4 4"]:
    """Poses that are not finite as a whole become NaN as a whole."""
    known = np.isfinite(poses).all(axis=(1, 2), keepdims=True)
    return np.where(known, poses, np.nan)


def stamped_poses(file: Path) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, "K 4 4"]]:
    """Seconds and poses of a TUM trajectory: ``t x y z qx qy qz qw``, camera to world."""
    rows = table(file, 8, "a TUM trajectory")
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    with reading(file, "a TUM trajectory"):
        poses[:, :3, :3] = Rotation.from_quat(rows[:, 4:]).as_matrix()
    poses[:, :3, 3] = rows[:, 1:4]
    return rows[:, 0], poses


def stamped_files(file: Path) -> tuple[Float[np.ndarray, " K"], list[Path]]:
    """Seconds and files of a TUM list (``rgb.txt``, ``depth.txt``): ``t relative/name.png``."""
    with reading(file, "a TUM list of files"):
        lines = file.read_text(encoding="utf-8").splitlines()
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        stamps = np.array([float(row[0]) for row in rows])
        files = [file.parent / row[1] for row in rows]
    return stamps, some(files, file, "line with a time stamp and a file")


def associated(
    a: Float[np.ndarray, " A"], b: Float[np.ndarray, " B"], most: float
) -> Int[np.ndarray, " A"]:
    """Which of the times ``b`` belongs to each of ``a``; -1 for none.

    Closer than ``most`` seconds, each used once, the closest pairs first: TUM RGB-D's
    ``associate.py``, which decides what the field counts as a frame.
    """
    order = np.argsort(b)
    low = np.searchsorted(b[order], a - most)
    many = np.searchsorted(b[order], a + most, side="right") - low
    rows = np.repeat(np.arange(len(a)), many)
    offset = np.arange(len(rows)) - np.repeat(np.cumsum(many) - many, many)
    columns = order[np.repeat(low, many) + offset]
    gaps = np.abs(a[rows] - b[columns])
    partner = np.full(len(a), -1)
    taken = np.zeros(len(b), bool)
    for k in np.lexsort((b[columns], a[rows], gaps)):  # greedy: each choice depends on the last
        i, j = rows[k], columns[k]
        if gaps[k] < most and partner[i] < 0 and not taken[j]:
            partner[i], taken[j] = j, True
    return partner
