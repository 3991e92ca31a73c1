"""What everyone has: plain pycolmap, with default options and no idea that anything moves.

    python benchmarks/plain_colmap.py DATA [--only NAME ...]

prints its cameras' errors on the clips of a folder, as `worldline eval --data DATA` defines them.
"""

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from jaxtyping import Bool, Float64
from PIL import Image

from worldline.datasets import folder
from worldline.datasets.clip import Clip
from worldline.errors import InputError, WorldlineError
from worldline.evaluation.metrics.trajectory import absolute_error, align, path_length

_EXHAUSTIVE = 60  # frames; with more, matching every pair would take too long
_FEWEST = 3  # frames; two positions can always be aligned
_HEADINGS = ("clip", "registered", "ATE, % of the path", "focal error, %")

pycolmap.logging.minloglevel = int(pycolmap.logging.FATAL)


@dataclass(frozen=True)
class PlainCameras:
    """The cameras of the largest model."""

    world_from_camera: Float64[np.ndarray, "N 4 4"]  # the identity where not registered
    registered: Bool[np.ndarray, " N"]
    focal: float  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of clips, as worldline eval --data reads")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="these clips alone")
    arguments = parser.parse_args()
    names = chosen(folder.names(arguments.data), arguments.only)
    print(_line(_HEADINGS))
    print(_line(["---"] * len(_HEADINGS)))
    for name in names:
        print(_line(row(arguments.data, name)), flush=True)


def chosen(names: list[str], only: Sequence[str]) -> list[str]:
    """The clips to measure. Raises InputError for a name that there is not."""
    if unknown := set(only) - set(names):
        raise InputError(f"no clip is called {min(unknown)}; there is: {', '.join(names)}")
    return [name for name in names if name in only or not only]


def row(data: Path, name: str) -> list[str]:
    """A clip's cells; of a clip that fails, the reason."""
    try:
        registered, ate, focal = in_process(data, name)
    except Exception as error:  # also a process that died: the others are still worth their numbers
        return [name, f"{type(error).__name__}: {error}", "-", "-"]
    return [name, f"{registered:.0%}", *("-" if np.isnan(x) else f"{x:.2f}" for x in (ate, focal))]


def in_process(data: Path, name: str) -> tuple[float, float, float]:
    """See `measure`; in a process of its own, as pycolmap may take its process down."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, data, name).result()


def measure(data: Path, name: str) -> tuple[float, float, float]:
    """The share of a clip's frames that pycolmap registers, ATE and focal error in percent.

    It gets the frames at their own size, freed from lens distortion, as all systems do.
    """
    clip = folder.read(data, name)
    found = plain_cameras(clip)
    if found is None:
        return 0.0, float("nan"), float("nan")
    return float(found.registered.mean()), ate_percent(found, clip), focal_error(found, clip)


def ate_percent(found: PlainCameras, truth: Clip) -> float:
    """RMSE of the registered positions after Sim(3), in percent of the whole true path.

    NaN where no path is known, or fewer than three frames are registered.
    """
    true, used = truth.world_from_camera, found.registered
    if true is None or used.sum() < _FEWEST or not path_length(true):
        return float("nan")
    poses = found.world_from_camera[used]
    aligned = align(poses, true[used]).poses(poses)
    return 100 * absolute_error(aligned, true[used]) / path_length(true)


def focal_error(found: PlainCameras, truth: Clip) -> float:
    """The mean of |f - f_true| / f_true over both axes and all frames, in percent; NaN: unknown."""
    if truth.intrinsics is None:
        return float("nan")
    true = truth.intrinsics[:, [0, 1], [0, 1]]
    return 100 * float(np.mean(np.abs(found.focal - true) / true))


def plain_cameras(clip: Clip) -> PlainCameras | None:
    """SIFT, matching and incremental mapping, one pinhole for all frames; None without a model."""
    names = [f"{i:05d}.png" for i in range(len(clip))]
    with tempfile.TemporaryDirectory(prefix="plain-colmap-") as temporary:
        frames = Path(temporary) / "frames"
        frames.mkdir()
        for name, frame in zip(names, clip.frames, strict=True):
            Image.fromarray(frame).save(frames / name, compress_level=1)
        models = _models(frames, Path(temporary), exhaustive=len(names) <= _EXHAUSTIVE)
        best = max(models.values(), key=lambda model: model.num_reg_images(), default=None)
        return None if best is None else cameras_of(best, names)


def _models(frames: Path, work: Path, *, exhaustive: bool) -> dict[int, pycolmap.Reconstruction]:
    pycolmap.set_random_seed(0)
    database, models = work / "features.db", work / "models"
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


def cameras_of(model: pycolmap.Reconstruction, names: list[str]) -> PlainCameras:
    """A model's cameras, in the order of the frames' names."""
    poses = np.tile(np.eye(4), (len(names), 1, 1))
    registered = np.zeros(len(names), bool)
    for image in model.images.values():
        if image.has_pose:
            k = names.index(image.name)
            poses[k, :3] = image.cam_from_world().inverse().matrix()
            registered[k] = True
    focal = next(iter(model.cameras.values())).focal_length
    return PlainCameras(poses, registered, float(focal))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    try:
        main()
    except WorldlineError as refused:
        sys.exit(f"error: {refused}")
