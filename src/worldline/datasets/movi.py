"""MOVi-E, panning MOVi-E and MOVi-F of Kubric: rigid objects fall in a dome, all of it known.

Format: github.com/google-research/kubric, ``challenges/movi`` (``movi_def_worker.py`` writes a
folder for each clip, ``movi_e.py``, ``panning_movi_e.py`` and ``movi_f.py`` make the published
TFRecords of them). Both are read: a folder holds ``rgba_00000.png``, ``depth_00000.tiff``,
``segmentation_00000.png``, ``forward_flow_00000.png``, ``object_coordinates_00000.png``,
``metadata.json`` and ``data_ranges.json``; a record the same under names like ``camera/positions``,
depth and flow as 16 bits over a range. A clip of a record file is called ``FILE:NUMBER``.

Depth is along the ray, in metres; it becomes z-depth. Cameras look along -z, y up (Blender's), and
become OpenCV's; the world, z up, stays. The principal point is the image's centre in pixels whose
top-left centre is (0.5, 0.5): nothing is added. Flow is (rows, columns), in pixels of the pictures
there are. Frames are 1/12 s apart where a folder does not say otherwise.

What moves is told by the objects' own way, not by Kubric's ``is_dynamic``: that flag means "was
tossed" and misses what is hit later. An object moves if a corner of its box is ever farther than
``MOVES`` from where it was in the first frame of the clip, whichever frames are read.

Point tracks are made as Kubric's ``challenges/point_tracking/dataset.py`` makes them: points of
objects keep their place in the object's box, those of the background theirs in the world; a point
is seen where the farthest of its four nearest depths is no nearer than 99% of its distance and one
of those pixels is of its object. Unlike there, the choice of points is the same every time, the
focal length is right for frames that are not square, and normals are not looked at.
The data's licence: Apache-2.0 (objects of Google Scanned Objects: CC-BY 4.0).
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.spatial.transform import Rotation

from worldline.datasets import tfrecord
from worldline.datasets.cameras import OPENGL, pinhole, projected
from worldline.datasets.clip import Clip, PointTracks
from worldline.datasets.files import json_of, marked_clips, missing, problems_in, reading
from worldline.datasets.frames import MOVES, Frames, consecutive, indices
from worldline.datasets.pictures import decoded, known, picture, same_sizes
from worldline.errors import InputError

FPS = 12.0  # of the published sets
TRACKS = 512  # at most so many points of a clip
_STEP = 4  # points are asked for in every 4th pixel of every 4th frame, as Kubric's are
_NEARER = 0.99  # of a point's distance: what is nearer hides it
_LEVELS = 65535.0
_FOLDER, _RECORDS = "metadata.json", "*.tfrecord*"
_RECORD = "records of MOVi"
_LAYERS = {
    "rgba": "png",
    "depth": "tiff",
    "segmentation": "png",
    "forward_flow": "png",
    "object_coordinates": "png",
}
_CORNERS = np.array([(*corner, 1.0) for corner in product((-0.5, 0.5), repeat=3)])  # of a box


@dataclass(frozen=True)
class _Raw:
    """What both layouts hold: pictures of the rows that were asked for, motion of all frames."""

    frames: UInt8[np.ndarray, "N H W 3"]
    ray: Float[np.ndarray, "N H W"]  # distance from the camera's centre
    segment: Int[np.ndarray, "N H W"]  # 0: background, k: instance k - 1
    coordinates: Float[np.ndarray, "N H W 3"]  # in the object's box, 0 to 1
    flow: Float[np.ndarray, "N H W 2"]  # (rows, columns)
    focal: float  # of the sensor's width
    position: Float[np.ndarray, "S 3"]  # of the camera, in every frame of the clip
    quaternion: Float[np.ndarray, "S 4"]  # (w, x, y, z)
    corners: Float[np.ndarray, "K S 8 3"]  # of the instances' boxes
    rate: float


def names(root: Path) -> list[str]:
    """The clips' folders under ``root``, and the records of its files; InputError if none."""
    found = []
    for name, place in _places(root).items():
        records = _records(place) if place.is_file() else None
        found += [name] if records is None else [f"{name}:{k}" for k in range(len(records))]
    return found or list(_folders(root))  # which tells where the files hold no record


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A clip, in metres, with all that Kubric knows; InputError if a file is missing or broken."""
    file, _, number = name.rpartition(":")
    if file and number.isdecimal():
        with reading(root / file, _RECORD):
            raw, rows = _of_record(root / file, int(number), frames, name)
    else:
        raw, rows = _of_folder(root / name, frames, name)
    return _clip(raw, rows, name)


def problems(root: Path) -> list[str]:
    """Files that are missing or empty, and record files that are cut off."""
    return problems_in(root, _places, _lacking)


def _lacking(place: Path) -> list[str]:
    if place.is_file():
        _records(place)
        return missing([place])
    count = _count(json_of(place / _FOLDER), place / _FOLDER)
    layers = [_layer(place, layer, k) for layer in _LAYERS for k in range(count)]
    return missing([place / "data_ranges.json", *layers])


def _places(root: Path) -> dict[str, Path]:
    """Files of records and the clips' folders; InputError where there is neither."""
    files = [path for path in sorted(root.rglob(_RECORDS)) if path.is_file()]
    found = {path.relative_to(root).as_posix(): path for path in files}
    return found if found and not any(root.rglob(_FOLDER)) else {**found, **_folders(root)}


def _folders(root: Path) -> dict[str, Path]:
    return marked_clips(root, _FOLDER, 2, "MOVi")


def _records(path: Path) -> list[tuple[int, int]]:
    with reading(path, _RECORD):
        return tfrecord.places(path)


def _layer(folder: Path, layer: str, frame: int) -> Path:
    return folder / f"{layer}_{frame:05d}.{_LAYERS[layer]}"


def _count(note: Any, path: Path) -> int:
    with reading(path, "MOVi's metadata"):
        return int(note["metadata"]["num_frames"])


def _of_folder(folder: Path, frames: Frames, name: str) -> tuple[_Raw, Int[np.ndarray, " N"]]:
    note = json_of(folder / _FOLDER)
    count = _count(note, folder / _FOLDER)
    rows = indices(count, frames, name)
    layers = {}
    for layer in _LAYERS:
        paths = [_layer(folder, layer, row) for row in rows.tolist()]
        layers[layer] = same_sizes([picture(path) for path in paths], paths)
    ranges = json_of(folder / "data_ranges.json")
    with reading(folder / "data_ranges.json", "MOVi's ranges"):
        low, high = (float(ranges["forward_flow"][end]) for end in ("min", "max"))
    with reading(folder / _FOLDER, "MOVi's metadata"):
        camera, instances = note["camera"], note["instances"]
        corners = np.array([one["bboxes_3d"] for one in instances], float)
        raw = _Raw(
            layers["rgba"][..., :3],
            layers["depth"].astype(float).reshape(layers["depth"].shape[:3]),
            layers["segmentation"].astype(int).reshape(layers["segmentation"].shape[:3]),
            layers["object_coordinates"] / _LEVELS,
            layers["forward_flow"][..., :2] / _LEVELS * (high - low) + low,
            float(camera["focal_length"]) / float(camera["sensor_width"]),
            np.array(camera["positions"], float).reshape(count, 3),
            np.array(camera["quaternions"], float).reshape(count, 4),
            corners.reshape(len(instances), count, 8, 3),
            float(note["metadata"].get("frame_rate", FPS)),
        )
    return raw, rows


def _of_record(
    path: Path, number: int, frames: Frames, name: str
) -> tuple[_Raw, Int[np.ndarray, " N"]]:
    places = tfrecord.places(path)
    if number >= len(places):
        raise InputError(f"{name}: there is no such record; {path.name} has {len(places)}.")
    with path.open("rb") as file:
        file.seek(places[number][0])
        one: dict[str, Any] = tfrecord.example(file.read(places[number][1]))
    count = int(one["metadata/num_frames"][0])
    size = (int(one["metadata/height"][0]), int(one["metadata/width"][0]))
    rows = indices(count, frames, name)

    def pictures(feature: str) -> np.ndarray:
        return np.stack([decoded(one[feature][row]).reshape(*size, -1) for row in rows])

    def ranged(values: np.ndarray, feature: str) -> np.ndarray:
        low, high = np.asarray(one[f"metadata/{feature}_range"], float)
        return values / _LEVELS * (high - low) + low

    flow = np.asarray(one["forward_flow"]).reshape(count, *size, 2)[rows]
    instances = int(one["metadata/num_instances"][0])
    raw = _Raw(
        pictures("video")[..., :3].astype(np.uint8),
        ranged(pictures("depth")[..., 0], "depth"),
        pictures("segmentations")[..., 0].astype(int),
        pictures("object_coordinates") / _LEVELS,
        ranged(flow, "forward_flow"),
        float(one["camera/focal_length"][0]) / float(one["camera/sensor_width"][0]),
        np.asarray(one["camera/positions"], float).reshape(count, 3),
        np.asarray(one["camera/quaternions"], float).reshape(count, 4),
        np.asarray(one.get("instances/bboxes_3d", ()), float).reshape(instances, count, 8, 3),
        FPS,
    )
    return raw, rows


def _clip(raw: _Raw, rows: Int[np.ndarray, " N"], name: str) -> Clip:
    count, height, width = raw.ray.shape
    if raw.segment.max() > len(raw.corners):
        raise InputError(
            f"{name}: its masks show object {raw.segment.max()}, but {len(raw.corners)} objects "
            "are described; get it again."
        )
    focal = raw.focal * width
    K = pinhole(focal, focal, width / 2, height / 2)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.from_quat(raw.quaternion[rows][:, [1, 2, 3, 0]]).as_matrix()
    poses[:, :3, 3] = raw.position[rows]
    poses = poses @ OPENGL
    y, x = np.mgrid[:height, :width] + 0.5
    rays = np.stack([x - K[0, 2], y - K[1, 2], np.full_like(x, focal)], axis=-1) / focal
    far = raw.ray >= 1e9  # Blender's depth of nothing is 1e10
    depth = known(np.where(far, np.nan, raw.ray) / np.linalg.norm(rays, axis=-1))
    way = np.linalg.norm(raw.corners - raw.corners[:, :1], axis=-1)
    moves = np.concatenate([[False], (way > MOVES).any(axis=(1, 2))])
    flow = raw.flow[:-1, ..., ::-1].copy()
    flow[~consecutive(rows)] = np.nan
    return Clip(
        name,
        raw.frames,
        tuple(f"{row:05d}" for row in rows),
        metric=True,
        times=np.array(rows) / raw.rate,
        world_from_camera=poses,
        intrinsics=np.tile(K, (count, 1, 1)),
        depth=depth,
        dynamic=moves[raw.segment],
        flow=flow,
        instance=raw.segment - 1,
        tracks=_tracks(raw, rows, depth, rays, poses, K, moves),
    )


def _tracks(
    raw: _Raw,
    rows: Int[np.ndarray, " N"],
    depth: Float[np.ndarray, "N H W"],
    rays: Float[np.ndarray, "H W 3"],
    poses: Float[np.ndarray, "N 4 4"],
    K: Float[np.ndarray, "3 3"],
    moves: Bool[np.ndarray, " L"],
) -> PointTracks:
    frame, y, x = _asked(raw.segment, np.isfinite(depth))
    segment = raw.segment[frame, y, x]
    local = rays[y, x] * depth[frame, y, x, None]
    still = np.einsum("mij,mj->mi", poses[frame, :3, :3], local) + poses[frame, :3, 3]
    xyz = np.repeat(still[:, None], len(rows), axis=1)
    of_object = segment > 0
    # each box, corner by corner, gives the affine map of its own coordinates into the world
    place = np.concatenate([raw.coordinates[frame, y, x] - 0.5, np.ones((len(frame), 1))], axis=1)
    world_from_box = np.linalg.pinv(_CORNERS) @ raw.corners[:, rows]
    at = segment[of_object] - 1
    xyz[of_object] = np.einsum("mi,mnij->mnj", place[of_object], world_from_box[at])
    seen = np.einsum("nji,mnj->mni", poses[:, :3, :3], xyz - poses[:, :3, 3])
    uv = projected(seen, K)
    visible = (seen[..., 2] > 0) & _visible(raw, uv, np.linalg.norm(seen, axis=-1), segment)
    return PointTracks(visible, uv, xyz, moves[segment], frame)


def _asked(
    segment: Int[np.ndarray, "N H W"], there: Bool[np.ndarray, "N H W"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (frame, y, x) to track: of every object as many, as far as it has them."""
    frame, y, x = np.nonzero(there[::_STEP, ::_STEP, ::_STEP])
    place = np.random.default_rng(0).permutation(len(frame))
    frame, y, x = (_STEP * one[place] for one in (frame, y, x))
    objects = segment[frame, y, x]
    # the k-th pixel of each object comes before the k+1-th of any
    order = np.argsort(objects, kind="stable")
    counts = np.bincount(objects[order])
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = order[np.argsort(rank, kind="stable")][:TRACKS]
    return frame[first], y[first], x[first]


def _visible(
    raw: _Raw,
    uv: Float[np.ndarray, "M N 2"],
    distance: Float[np.ndarray, "M N"],
    segment: Int[np.ndarray, " M"],
) -> Bool[np.ndarray, "M N"]:
    count, height, width = raw.ray.shape
    inside = np.asarray(((uv >= 0) & (uv <= [width, height])).all(axis=-1))
    corner = np.floor(np.where(inside[..., None], uv, 0.5) - 0.5).astype(int)
    row = np.arange(count)
    farthest = np.full(distance.shape, -np.inf)
    same = np.zeros(distance.shape, bool)
    for dx, dy in product((0, 1), repeat=2):
        x = np.clip(corner[..., 0] + dx, 0, width - 1)
        y = np.clip(corner[..., 1] + dy, 0, height - 1)
        farthest = np.maximum(farthest, raw.ray[row, y, x])
        same |= raw.segment[row, y, x] == segment[:, None]
    return inside & same & (farthest >= _NEARER * distance)
