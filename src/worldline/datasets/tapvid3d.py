"""TAPVid-3D: real videos with points in metres: Aria, DriveTrack, PStudio (Koppula et al. 2024).

Layout, from github.com/google-deepmind/tapnet/tree/main/tapnet/tapvid3d: ``SOURCE/CLIP.npz`` with
``images_jpeg_bytes`` (N), ``tracks_XYZ`` (N M 3, metres, in each frame's camera, OpenCV axes),
``visibility`` (N M), ``queries_xyt`` (M 3), ``fx_fy_cx_cy``, and in some ``extrinsics_w2c`` (N 4
4). K is used as stored, which is what the benchmark projects with; it names no pixel centre, so
none is added. Without extrinsics the points stay in each frame's camera, where the benchmark
measures them. Licence: annotations CC BY 4.0; the videos under Aria's, Waymo's and PStudio's terms.
"""

from pathlib import Path

from worldline.datasets.clip import Clip
from worldline.datasets.frames import Frames
from worldline.datasets.npz_tracks import (
    NEEDED,
    Shapes,
    camera_tracks,
    npz_clip,
    npz_clips,
    npz_problems,
)


def names(root: Path) -> list[str]:
    """``pstudio/juggle_3`` and so on, or without the folder where ``root`` is one source's."""
    return list(_clips(root))


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A clip; ``query`` is each point's own frame, -1 where that was left out."""
    return camera_tracks(name, npz_clip(root, name, _clips), frames, "queries_xyt")


def problems(root: Path) -> list[str]:
    """Files that are broken or lack an array."""
    return npz_problems(root, (*NEEDED, "queries_xyt"))


def _clips(root: Path) -> dict[str, Path]:
    return npz_clips(root, _fits, "SOURCE/CLIP.npz with tracks_XYZ and queries_xyt")


def _fits(shapes: Shapes) -> bool:
    return {*NEEDED, "queries_xyt"} <= shapes.keys() and len(shapes["tracks_XYZ"]) == 3
