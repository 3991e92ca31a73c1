"""Dynamic Replica: people and animals in scanned rooms, rendered for two cameras side by side.

Format: github.com/facebookresearch/dynamic_stereo (``datasets/dynamic_stereo_datasets.py``,
``notebooks/Dynamic_Replica_demo.ipynb``): ``SPLIT/frame_annotations_SPLIT.jgz`` is a list of frames
in gzipped JSON, with the paths of their files from ``SPLIT`` on. A clip is one camera of a
sequence, ``valid/SEQUENCE/left``. Depth and flow are half floats in the bits of 16-bit pictures;
a picture of flow is twice as wide: x, then y. Trajectories are a file of tensors for each frame
(``traj_2d``, ``traj_3d_world``, ``verts_inds_vis``), of the same vertices in all of them; only the
left camera has them.

Cameras are PyTorch3D's (x left, y up, row vectors) and become OpenCV's; intrinsics are in its
normalised coordinates, whose origin is the middle of the image: in pixels with the top-left centre
at (0.5, 0.5) that is half of the size, as of the tracks, and nothing is added. z-depth is in
metres, 0 is unknown. Pixels of the mask are the people and animals: those that move.
The data's licence: that of its site, which has to be accepted; the code's is CC BY-NC.
"""

import gzip
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from worldline.datasets.cameras import pinhole
from worldline.datasets.clip import Clip, PointTracks
from worldline.datasets.files import marked_clips, missing, problems_in, reading
from worldline.datasets.frames import Frames, consecutive, first_visible, indices, moves_by_distance
from worldline.datasets.pictures import images, known, picture, same_sizes
from worldline.errors import InputError

_FLOWS = ("flow_forward", "flow_forward_mask")
_LIST, _WHAT = "frame_annotations_*.jgz", "Dynamic Replica's list of frames"
_FLIP = np.array([-1.0, -1.0, 1.0])  # PyTorch3D's camera axes, in OpenCV's


def names(root: Path) -> list[str]:
    """Each camera of each sequence of the splits under ``root``; InputError where there is none."""
    return [f"{split}/{one}" for split, home in _splits(root).items() for one in _sequences(home)]


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A clip, in metres; InputError for a file that is missing or broken.

    What moves of the tracks is told by the frames that are read.
    """
    split, _, rest = name.partition("/")
    every = _sequences(root / split).get(rest)
    if every is None:
        raise InputError(f"{name}: there is no such clip; name one as in valid/SEQUENCE/left.")
    rows = indices(len(every), frames, name)
    notes = [every[row] for row in rows]
    home = root / split
    with reading(_list_of(home), _WHAT):
        stills = [home / note["image"]["path"] for note in notes]
        cameras = [_camera(note) for note in notes]
        times = [float(note["frame_timestamp"]) for note in notes]
        files = {what: _paths(home, notes, what) for what in ("depth", "mask", "trajectories")}
        flows = {what: _paths(home, notes[:-1], what) for what in _FLOWS}
    pictures = images(stills)
    depth = None if files["depth"] is None else known(_halves(files["depth"]))
    return Clip(
        name,
        pictures,
        tuple(f"{note['frame_number']:05d}" for note in notes),
        metric=True,
        times=np.array(times),
        world_from_camera=np.stack([pose for pose, _ in cameras]),
        intrinsics=np.stack([K for _, K in cameras]),
        depth=depth,
        dynamic=None if files["mask"] is None else _masks(files["mask"]),
        flow=_flow(flows, rows),
        tracks=None if files["trajectories"] is None else _tracks(files["trajectories"]),
    )


def problems(root: Path) -> list[str]:
    """Files that the lists name and that are missing or empty."""
    return problems_in(root, _splits, _lacking)


def _lacking(home: Path) -> list[str]:
    wanted = [
        _path(home, note, what)
        for notes in _sequences(home).values()
        for what in ("image", "depth", "mask", "trajectories", *_FLOWS)
        for note in notes
    ]
    return missing(path for path in wanted if path is not None)


def _splits(root: Path) -> dict[str, Path]:
    return marked_clips(root, _LIST, 1, "Dynamic Replica")


def _list_of(home: Path) -> Path:
    found = sorted(home.glob(_LIST))
    return found[0] if found else home / _LIST


def _sequences(home: Path) -> dict[str, list[Any]]:
    """Frames of ``SEQUENCE/CAMERA``, in order."""
    path = _list_of(home)
    with reading(path, _WHAT), gzip.open(path, "rt", encoding="utf-8") as file:
        found: dict[str, list[Any]] = {}
        for note in json.load(file):
            camera = note.get("camera_name") or "left"
            found.setdefault(f"{note['sequence_name']}/{camera}", []).append(note)
        return {
            key: sorted(found[key], key=lambda note: int(note["frame_number"]))
            for key in sorted(found)
        }


def _path(home: Path, note: Any, what: str) -> Path | None:
    about = note.get(what)
    path = about.get("path") if isinstance(about, dict) else about
    return home / path if path else None


def _paths(home: Path, notes: Sequence[Any], what: str) -> list[Path] | None:
    """The files of all frames, or None if one has none."""
    paths = [_path(home, note, what) for note in notes]
    found = [path for path in paths if path is not None]
    return found if len(found) == len(paths) else None


def _camera(note: Any) -> tuple[np.ndarray, np.ndarray]:
    view = note["viewpoint"]
    half = np.array(note["image"]["size"][::-1], float) / 2
    scales = {"ndc_norm_image_bounds": half, "ndc_isotropic": np.full(2, half.min())}
    kind = str(view.get("intrinsics_format", "ndc_norm_image_bounds")).lower()
    if kind not in scales:
        raise ValueError(f"its intrinsics are {kind}, which is unknown")
    focal = np.array(view["focal_length"], float) * scales[kind]
    center = half - np.array(view["principal_point"], float) * scales[kind]
    # row vectors: camera = world @ R + T
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = np.array(view["R"], float) * _FLIP
    world_from_camera[:3, 3] = -np.array(view["R"], float) @ np.array(view["T"], float)
    return world_from_camera, pinhole(*focal, *center)


def _halves(paths: Sequence[Path]) -> Float[np.ndarray, "N H W"]:
    """Half floats that are stored in the bits of 16-bit pictures."""
    bits = same_sizes([picture(path) for path in paths], paths)
    with reading(paths[0], "half floats"):
        if bits.dtype != np.uint16 or bits.ndim != 3:
            raise ValueError("it has no 16-bit grey values")
        return bits.view(np.float16).astype(np.float64)


def _masks(paths: Sequence[Path]) -> np.ndarray:
    masks = same_sizes([picture(path) for path in paths], paths)
    return np.asarray(masks.reshape(*masks.shape[:3], -1)[..., 0] > 0)


def _flow(files: dict[str, list[Path] | None], rows: Int[np.ndarray, " N"]) -> np.ndarray | None:
    """Flow to the next frame; NaN where it is masked out, or where a frame was left out."""
    paths, masks = (files[what] for what in _FLOWS)
    if not paths:
        return None
    both = _halves(paths)
    width = both.shape[2] // 2
    flow = np.stack([both[..., :width], both[..., width:]], axis=-1)
    if masks is not None:
        flow[~_masks(masks)] = np.nan
    flow[~consecutive(rows)] = np.nan
    return flow


def _tracks(paths: Sequence[Path]) -> PointTracks:
    frames = []
    for path in paths:
        with reading(path, "Dynamic Replica's tracks"):
            try:
                one = torch.load(path, map_location="cpu", weights_only=True)
            except (RuntimeError, pickle.UnpicklingError) as error:
                raise ValueError("it is cut off, or no file of tensors") from error
            keys = ("traj_2d", "traj_3d_world", "verts_inds_vis")
            frames.append([np.asarray(one[key]) for key in keys])
    uv, xyz, visible = (
        same_sizes([frame[k] for frame in frames], paths).swapaxes(0, 1) for k in range(3)
    )
    uv, xyz, visible = uv[..., :2].astype(float), xyz.astype(float), visible > 0
    return PointTracks(visible, uv, xyz, moves_by_distance(xyz), first_visible(visible))
