"""WorldTrack: St4RTrack's benchmark of points in the world (Feng et al. 2025).

Layout, from St4RTrack's ``dust3r/track_eval.py`` and 4RC's ``eval/track/tapvid3d_utils.py``:
folders ``po_mini``, ``ds_mini``, ``adt_mini``, ``pstudio_mini`` of npz with ``images_jpeg_bytes``
(N), ``tracks_XYZ`` (N M 3, metres, in each frame's camera, OpenCV axes), ``visibility`` (N M),
``fx_fy_cx_cy``, ``extrinsics_w2c`` (N 4 4; none: the camera stands still) and perhaps ``depth_map``
(N H W, z, metres). World is that of the extrinsics; the published evaluation then moves it into the
first camera.

K is used as stored: the rendered sources put its centre at half of the size, so pixel centres lie
at +0.5 (the published reconstruction of ``depth_map`` takes integers, half a pixel off). Licence of
the data: that of PointOdyssey, Dynamic Replica, Aria and PStudio, non-commercial.
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
    """``po_mini/NAME`` and so on, or without the folder where ``root`` is one of them."""
    return list(_clips(root))


def looks_like(root: Path) -> bool:
    """Whether the layout is this and not TAPVid-3D's, of which two of the four folders are made."""
    return any("_mini" in part for name in names(root) for part in (root.resolve().name, name))


def protocol(root: Path, name: str) -> slice:
    """What is reported on: the first 64 frames."""
    return slice(0, 64)


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A clip; ``query`` is frame 0 for the points that it sees, and -1 for those not asked for."""
    return camera_tracks(name, npz_clip(root, name, _clips), frames, "first frame", True)


def problems(root: Path) -> list[str]:
    """Files that are broken or lack an array."""
    return npz_problems(root, NEEDED)


def _clips(root: Path) -> dict[str, Path]:
    return npz_clips(root, _fits, "po_mini/CLIP.npz with tracks_XYZ of N M 3")


def _fits(shapes: Shapes) -> bool:
    return set(NEEDED) <= shapes.keys() and len(shapes["tracks_XYZ"]) == 3
