"""Dense tracking on Kubric and Waymo: each pixel of one frame followed (4RC's benchmark, 2026).

Layout, from github.com/Luo-Yihang/4RC (``eval/track/track_eval_dense.py``) and the archive
huggingface.co/datasets/Luo-Yihang/dense_track_eval: ``{kubric,waymo}/CLIP.npz`` with
``images_jpeg_bytes`` (N), ``tracks_XYZ`` (N H W 3, already in the world, metres), ``visibility`` (N
H W), ``fx_fy_cx_cy`` and perhaps ``extrinsics_w2c`` (N 4 4, OpenCV axes). The pixels followed are
those of frame 11 of 24. K is used as stored: Kubric's centre is half of the size, so pixel centres
lie at +0.5. Licence of the data: Kubric CC BY 4.0; Waymo Open Dataset, non-commercial.
"""

from pathlib import Path

import numpy as np

from worldline.datasets.cameras import inverse, moved, projected
from worldline.datasets.clip import Clip, PointTracks
from worldline.datasets.frames import Frames, indices, moves_by_path, where_asked
from worldline.datasets.npz_tracks import (
    MOVES,
    NEEDED,
    Shapes,
    lens,
    npz_clip,
    npz_clips,
    npz_problems,
    world_from_camera,
)
from worldline.datasets.pictures import decoded_frames
from worldline.datasets.unpickling import arrays, required
from worldline.errors import InputError

QUERY_FRAME = 11


def names(root: Path) -> list[str]:
    """``kubric/NAME`` and so on, or without the folder where ``root`` is one of them."""
    return list(_clips(root))


def protocol(root: Path, name: str) -> slice:
    """What is reported on: all 24 frames (the evaluation's bound of 64 cuts none)."""
    return slice(0, 64)


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A clip; its tracks are the query frame's pixels, row by row.

    Points that are not finite, or at the origin, are unknown: NaN and never visible.
    """
    file = npz_clip(root, name, _clips)
    content = arrays(file, (*NEEDED, "extrinsics_w2c"))
    required(content, NEEDED, file)
    chosen = indices(len(content["images_jpeg_bytes"]), frames, name)
    pixels = decoded_frames([content["images_jpeg_bytes"][k] for k in chosen], name)
    xyz, visible = _points(content, file)
    K = lens(content["fx_fy_cx_cy"], len(chosen), file)
    poses = world_from_camera(content, chosen, file)
    xyz, visible = xyz[:, chosen], visible[:, chosen]
    query = np.full(len(xyz), QUERY_FRAME)
    return Clip(
        name=name,
        frames=pixels,
        frame_names=tuple(f"{k:05d}" for k in chosen),
        metric=True,
        world_from_camera=poses,
        intrinsics=K,
        tracks=PointTracks(
            visible=visible,
            uv=None if poses is None else projected(moved(inverse(poses), xyz), K),
            xyz=xyz,
            dynamic=moves_by_path(xyz, MOVES),
            query=where_asked(query, chosen),
        ),
    )


def problems(root: Path) -> list[str]:
    """Files that are broken or lack an array."""
    return npz_problems(root, NEEDED)


def _points(content: dict[str, np.ndarray], file: Path) -> tuple[np.ndarray, np.ndarray]:
    """World points (M N 3) and whether they are seen (M N)."""
    xyz = content["tracks_XYZ"]
    seen = content["visibility"].astype(bool)
    count = len(content["images_jpeg_bytes"])
    if xyz.ndim != 4 or len(xyz) != count or seen.shape[1:] != xyz.shape[1:3]:
        raise InputError(
            f"{file}: has {count} frames, tracks of {xyz.shape} and visibility of {seen.shape}; "
            "dense tracks are (frames, H, W, 3)."
        )
    seen = np.broadcast_to(seen, xyz.shape[:3])  # one mask may stand for all frames
    points = xyz.reshape(count, -1, 3).swapaxes(0, 1).astype(np.float64)
    known = np.isfinite(points).all(axis=-1) & points.any(axis=-1)
    points[~known] = np.nan
    return points, seen.reshape(count, -1).T & known


def _clips(root: Path) -> dict[str, Path]:
    return npz_clips(root, _fits, "kubric/CLIP.npz or waymo/CLIP.npz with tracks_XYZ of N H W 3")


def _fits(shapes: Shapes) -> bool:
    return set(NEEDED) <= shapes.keys() and len(shapes["tracks_XYZ"]) == 4
