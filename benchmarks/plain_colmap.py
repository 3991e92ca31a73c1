"""What everyone has: plain pycolmap, with default options and no idea that anything moves."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from jaxtyping import Bool, Float64
from PIL import Image

from worldline.io import read_clip

_EXHAUSTIVE = 60  # frames; with more, matching every pair would take too long

pycolmap.logging.minloglevel = int(pycolmap.logging.FATAL)


@dataclass(frozen=True)
class PlainCameras:
    """The cameras of the largest model."""

    world_from_camera: Float64[np.ndarray, "N 4 4"]  # the identity where not registered
    registered: Bool[np.ndarray, " N"]
    focal: float  # pixels of the frames as they are


def plain_cameras(frames: Path) -> PlainCameras | None:
    """SIFT, matching and incremental mapping, all frames sharing a pinhole; None without a model.

    frames: a folder of pictures, in the order of their names.
    """
    names = sorted(file.name for file in frames.iterdir())
    with tempfile.TemporaryDirectory(prefix="plain-colmap-") as folder:
        best = _largest(_models(frames, Path(folder), exhaustive=len(names) <= _EXHAUSTIVE))
    return None if best is None else _read(best, names)


def frames_of(video: Path, folder: Path) -> Path:
    """The frames of a video as PNGs in `folder`, at their own size."""
    for i, frame in enumerate(read_clip(video, size=None).frames):
        Image.fromarray(frame).save(folder / f"{i:05d}.png")
    return folder


def _models(frames: Path, folder: Path, *, exhaustive: bool) -> dict[int, pycolmap.Reconstruction]:
    pycolmap.set_random_seed(0)
    database, models = folder / "features.db", folder / "models"
    models.mkdir()
    pycolmap.extract_features(
        database,
        frames,
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=pycolmap.ImageReaderOptions(camera_model="SIMPLE_PINHOLE"),
    )
    if exhaustive:
        pycolmap.match_exhaustive(database)
    else:
        pycolmap.match_sequential(database)
    return pycolmap.incremental_mapping(database, frames, models)


def _largest(models: dict[int, pycolmap.Reconstruction]) -> pycolmap.Reconstruction | None:
    return max(models.values(), key=lambda model: model.num_reg_images(), default=None)


def _read(model: pycolmap.Reconstruction, names: list[str]) -> PlainCameras:
    poses = np.tile(np.eye(4), (len(names), 1, 1))
    registered = np.zeros(len(names), bool)
    for image in model.images.values():
        if image.has_pose:
            k = names.index(image.name)
            poses[k, :3] = image.cam_from_world().inverse().matrix()
            registered[k] = True
    focal = next(iter(model.cameras.values())).focal_length
    return PlainCameras(poses, registered, float(focal))
