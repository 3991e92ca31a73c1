"""TAP-Vid: points followed by hand through DAVIS, Kinetics and robot videos (Doersch et al. 2022).

Layout, from github.com/google-deepmind/tapnet/tree/main/tapnet/tapvid: ``tapvid_davis.pkl``, a
dictionary by video, or ``0000_of_0010.pkl`` of Kinetics and ``tapvid_rgb_stacking.pkl``, lists;
each video has ``video`` (uint8, or JPEG bytes a frame), ``points`` (M N 2, x and y from 0 to 1 of
width and height, corner to corner) and ``occluded`` (M N). Times the size, points are pixels whose
top-left centre is at (0.5, 0.5), with nothing to add. Pickles are read as data, never run
(``unpickling``). Licence of the annotations: CC BY 4.0; the videos keep their own.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from worldline.datasets.clip import Clip, PointTracks
from worldline.datasets.files import listed, some
from worldline.datasets.frames import Frames, first_visible, indices, where_asked
from worldline.datasets.pictures import decoded_frames
from worldline.datasets.unpickling import unpickled
from worldline.errors import InputError

_NEEDED = ("video", "points", "occluded")


def names(root: Path) -> list[str]:
    """The videos' names, or ``0000_of_0010/0`` and so on where they have none.

    Pickles are read whole for it.
    """
    return [name for file in _files(root) for name in _videos(file)]


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A video at its stored size; each point is asked for where it is first seen ("first").

    ``query`` is -1 for points first seen in a frame that was left out, or never.
    """
    example, file = _example(root, name)
    lacking = [key for key in _NEEDED if key not in example]
    if lacking:
        raise InputError(f"{file}: {name} lacks {', '.join(lacking)}; download it again.")
    visible = ~np.asarray(example["occluded"], dtype=bool)
    points = np.asarray(example["points"], dtype=np.float64)
    chosen = indices(len(example["video"]), frames, name)
    pixels = _pixels([example["video"][k] for k in chosen], name)
    if points.shape != (*visible.shape, 2) or visible.shape[1] != len(example["video"]):
        raise InputError(f"{file}: {name} has points {points.shape} for {visible.shape} flags.")
    size = np.array([pixels.shape[2], pixels.shape[1]])
    return Clip(
        name=name,
        frames=pixels,
        frame_names=tuple(f"{k:05d}" for k in chosen),
        metric=False,
        tracks=PointTracks(
            visible=visible[:, chosen],
            uv=points[:, chosen] * size,
            query=where_asked(first_visible(visible), chosen),
        ),
    )


def problems(root: Path) -> list[str]:
    """Files that are empty or no pickles."""
    try:
        files = _files(root)
    except InputError as error:
        return [str(error)]
    return [f"{file}: is no pickle" for file in files if not _is_pickle(file)]


def _files(root: Path) -> list[Path]:
    return some(listed(root, "*.pkl"), root, "tapvid_davis.pkl or 0000_of_0010.pkl")


def _is_pickle(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(1) == b"\x80"  # every protocol from 2 on


def _example(root: Path, name: str) -> tuple[dict[str, Any], Path]:
    files = _files(root)
    for file in files:
        videos = _videos(file)
        if name in videos:
            return videos[name], file
    raise InputError(f"{root}: has no clip {name!r} in {', '.join(file.name for file in files)}.")


def _videos(file: Path) -> dict[str, dict[str, Any]]:
    return _loaded(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=1)  # a file holds a hundred videos, which are asked for one by one
def _loaded(file: Path, _written: int) -> dict[str, dict[str, Any]]:
    content = unpickled(file)
    if isinstance(content, list):
        content = {f"{file.stem}/{k}": one for k, one in enumerate(content)}
    if not isinstance(content, dict) or not all(isinstance(v, dict) for v in content.values()):
        raise InputError(f"{file}: holds no dictionary or list of videos; is it TAP-Vid's?")
    return {str(name): one for name, one in content.items()}


def _pixels(video: list[Any], name: str) -> np.ndarray:
    if isinstance(video[0], bytes):
        return decoded_frames(video, name)
    pixels = np.stack(video)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3:
        raise InputError(f"{name}: its video is {pixels.dtype} {pixels.shape}, not uint8 N H W 3.")
    return pixels
