"""The sequences of a data folder, and what is known to be true of them.

The folder's layout: NAME/frames/ or NAME/video.mp4, and where they are known NAME/cameras.npz
(K, c2w), NAME/depth/, NAME/masks/ and NAME/meta.json.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Shaped

from worldline.errors import InputError
from worldline.scene import Scene

_OUTSIDE = 85  # CDnet: not in the region of interest
_UNJUDGED = (_OUTSIDE, 170)  # nor is motion that nobody could tell
_MOVING = 255  # CDnet's hard shadows (50) are static


@dataclass(frozen=True)
class Sequence:
    """A clip with its truth; `source` is a folder of frames or a video."""

    name: str
    folder: Path

    @property
    def source(self) -> Path:
        """What is reconstructed."""
        frames = self.folder / "frames"
        return frames if frames.is_dir() else self.folder / "video.mp4"


@dataclass(frozen=True)
class Truth:
    """What is known of a sequence, as arrays over a scene's frames; None where it is not."""

    world_from_camera: Float64[np.ndarray, "N 4 4"] | None = None  # OpenCV axes, the truth's units
    focal: Float64[np.ndarray, "N 2"] | None = None  # (fx, fy) in pixels of the scene's frames
    depth: Float32[np.ndarray, "N H W"] | None = None  # z-depth of a sensor, metres, 0: unknown
    moving: Bool[np.ndarray, "N H W"] | None = None
    judged: Bool[np.ndarray, "N H W"] | None = None  # where `moving` is known


def find_sequences(data: Path) -> list[Sequence]:
    """All folders that hold frames or a video, by name."""
    if not data.is_dir():
        raise InputError(f"{data} is no folder; give the one that holds the sequences")
    found = [Sequence(folder.name, folder) for folder in sorted(data.iterdir())]
    return [sequence for sequence in found if sequence.source.exists()]


def true_cameras(folder: Path) -> dict[str, Float64[np.ndarray, "..."]]:
    """`K` [3, 3] or [N, 3, 3] in pixels of the files, and `c2w` [N, 4, 4], as far as known."""
    file = folder / "cameras.npz"
    if not file.is_file():
        return {}
    with np.load(file) as cameras:
        names = [name for name in ("K", "c2w") if name in cameras]
        return {name: np.asarray(cameras[name], np.float64) for name in names}


def load_truth(folder: Path, scene: Scene) -> Truth:
    """The truth for a scene's frames: at their size, and with the same lens distortion undone."""
    cameras = true_cameras(folder)
    depth = _pictures(folder / "depth", scene, outside=0)
    labels = _pictures(folder / "masks", scene, outside=_OUTSIDE)
    return Truth(
        world_from_camera=cameras.get("c2w"),
        focal=_focal(cameras["K"], scene) if "K" in cameras else None,
        depth=None if depth is None else (depth / _units_per_metre(folder)).astype(np.float32),
        moving=None if labels is None else labels == _MOVING,
        judged=None if labels is None else ~np.isin(labels, _UNJUDGED),
    )


def _focal(K: Float64[np.ndarray, "*N 3 3"], scene: Scene) -> Float64[np.ndarray, "N 2"]:
    """Focal lengths of the files, in pixels of the scene's frames."""
    in_files = np.broadcast_to(K, (len(scene), 3, 3))[:, [0, 1], [0, 1]]
    return in_files * np.divide(scene.size, scene.original_size)


def _units_per_metre(folder: Path) -> float:
    """From the words of meta.json: "uint16 PNG, metres = value/5000, 0 = invalid"."""
    words = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["depth"]
    found = re.search(r"metres = value/(\d+)", words)
    if found is None:
        raise InputError(f"{folder.name}/meta.json does not say what depth is in: {words!r}")
    return float(found[1])


def _pictures(folder: Path, scene: Scene, outside: int) -> Shaped[np.ndarray, "N H W"] | None:
    """One-channel pictures for a scene's frames, each pixel the nearest one's value.

    outside: the value of pixels that the files' pictures did not reach.
    """
    if not folder.is_dir():
        return None
    files = sorted(folder.iterdir())
    if len(files) != len(scene):
        raise InputError(f"{folder} holds {len(files)} pictures for {len(scene)} frames")
    pictures = (cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files)
    return np.stack([_placed(picture, scene, outside) for picture in pictures])


def _placed(
    picture: Shaped[np.ndarray, "h w"], scene: Scene, outside: int
) -> Shaped[np.ndarray, "H W"]:
    """The picture resized, and bent as the scene's frames were bent."""
    picture = cv2.resize(picture, scene.size, interpolation=cv2.INTER_NEAREST_EXACT)
    distortion = scene.cameras.distortion
    if distortion is None:
        return picture
    # OpenCV counts pixels from the centre of the first
    K = scene.cameras.intrinsics[0] - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    maps = cv2.initUndistortRectifyMap(K, np.array(distortion), None, K, scene.size, cv2.CV_32FC1)
    return cv2.remap(picture, *maps, cv2.INTER_NEAREST, borderValue=outside)
