"""The iPhone clips of DyCheck: a phone that moves, two that stand still, LiDAR depth, keypoints.

Format: github.com/KAIR-BAIR/dycheck, ``docs/DATASETS.md`` and ``dycheck/datasets/iphone.py``: a
folder for each scene with ``camera/ID.json`` (of the full size), ``rgb/2x/ID.png``,
``depth/2x/ID.npy``, ``covisible/2x/val/ID.png``, ``keypoint/2x/train/ID.json``,
``splits/train.json``, ``scene.json`` and ``extra.json``, whose ``factor`` says which size is the
dataset's own. A clip is one split of a scene: ``paper-windmill/train`` is what the moving phone
took, ``paper-windmill/val`` all frames of the phones that stand still, one phone after the other.

The cameras' ``orientation`` takes the world to OpenCV's axes; ``position`` is in metres, as is the
z-depth (the documents say millimetres, the loader takes it in the cameras' unit); 0 is unknown.
The principal point is in pixels whose top-left centre is (0.5, 0.5): nothing is added. Keypoints
count pixels as integers: 0.5 is added. The world is the cameras' own; ``normalisation`` gives what
DyCheck trains and tests in.
The data's licence: Apache-2.0.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from worldline.datasets.cameras import pinhole
from worldline.datasets.clip import Clip, HeldOut, PointTracks
from worldline.datasets.files import array_of, json_of, marked_clips, missing, problems_in, reading
from worldline.datasets.frames import Frames, first_visible, indices
from worldline.datasets.pictures import images, known, picture, same_sizes
from worldline.errors import InputError

SPLITS = ("train", "val")


@dataclass(frozen=True)
class _Split:
    ids: list[str]
    times: list[int]


def names(root: Path) -> list[str]:
    """The splits of the scenes under ``root``; InputError where there is none."""
    return [
        f"{name}/{split}"
        for name, scene in _scenes(root).items()
        for split in SPLITS
        if _split(scene, split).ids
    ]


def split(root: Path, part: str) -> list[str]:
    """One split of the scenes that have held-out pictures: "train" or "val"."""
    every = names(root)
    scenes = [name.rpartition("/")[0] for name in every if name.endswith("/val")]
    return [name for scene in scenes if (name := f"{scene}/{part}") in every]


def read(root: Path, name: str, frames: Frames = None, scale: int | None = None) -> Clip:
    """A split of a scene, in metres.

    ``scale`` is 1 or 2: which size of the pictures (``1x``, ``2x``); None is the dataset's own.
    Tracks are the annotated keypoints, in the frames that were annotated. The views of a ``train``
    split are the ``val`` split's pictures, where the scene has them, at times of the frames that
    are read; of these the co-visible pixels count. Raises InputError for a file that is missing or
    broken.
    """
    scene, split, listed, rows = _asked(root, name, frames)
    extra = json_of(scene / "extra.json")
    size = _size(scene, scale, extra)
    ids = [listed.ids[row] for row in rows]
    pictures = images([scene / "rgb" / size / f"{one}.png" for one in ids])
    cameras = [_camera(scene / "camera" / f"{one}.json", pictures.shape[2]) for one in ids]
    with reading(scene / "extra.json", "DyCheck's notes"):
        rate = float(extra["fps"])
    times = [listed.times[row] for row in rows]
    return Clip(
        name,
        pictures,
        tuple(ids),
        metric=True,
        times=np.array(times) / rate,
        world_from_camera=np.stack([pose for pose, _ in cameras]),
        intrinsics=np.stack([K for _, K in cameras]),
        depth=_depth(scene / "depth" / size, ids, pictures.shape[1:3]),
        tracks=_keypoints(scene / "keypoint" / size / split, ids),
        views=_views(root, scene, times, scale) if split == "train" else None,
    )


def _views(root: Path, scene: Path, times: list[int], scale: int | None) -> HeldOut | None:
    """The held-out pictures of some moments; None without any, or without co-visible pixels."""
    name = f"{scene.relative_to(root)}/val"
    if not (scene / "covisible").is_dir():
        return None
    some = [row for row, time in enumerate(_split(scene, "val").times) if time in times]
    if not some:
        return None
    clip = read(root, name, some, scale)
    assert clip.times is not None and clip.world_from_camera is not None
    assert clip.intrinsics is not None
    seen = covisible(root, name, some, scale)
    return HeldOut(clip.frames, clip.world_from_camera, clip.intrinsics, clip.times, seen)


def covisible(
    root: Path, name: str, frames: Frames = None, scale: int | None = None
) -> Bool[np.ndarray, "N H W"]:
    """Which pixels of a ``val`` split enough training frames see; DyCheck's metrics are of them."""
    scene, split, listed, rows = _asked(root, name, frames)
    folder = scene / "covisible" / _size(scene, scale, json_of(scene / "extra.json")) / split
    paths = [folder / f"{listed.ids[row]}.png" for row in rows]
    masks = same_sizes([picture(path) for path in paths], paths)
    return np.asarray(masks.reshape(*masks.shape[:3], -1)[..., 0] > 0)


def normalisation(root: Path, name: str) -> tuple[Float[np.ndarray, "3"], float]:
    """``(center, scale)``: DyCheck works in ``(world - center) * scale``."""
    path = root / Path(name).parent / "scene.json"
    note = json_of(path)
    with reading(path, "DyCheck's scene"):
        return np.array(note["center"], float).reshape(3), float(note["scale"])


def problems(root: Path) -> list[str]:
    """What is missing or empty of the files that every frame has."""
    return problems_in(root, _scenes, _lacking)


def _lacking(scene: Path) -> list[str]:
    size = _size(scene, None, json_of(scene / "extra.json"))
    wanted = []
    for split in SPLITS:
        for one in _split(scene, split).ids:
            wanted += [scene / "camera" / f"{one}.json", scene / "rgb" / size / f"{one}.png"]
            wanted += [scene / "depth" / size / f"{one}.npy"] if split == "train" else []
    return missing(wanted)


def _scenes(root: Path) -> dict[str, Path]:
    return marked_clips(root, "scene.json", 2, "DyCheck")


def _asked(
    root: Path, name: str, frames: Frames
) -> tuple[Path, str, _Split, Int[np.ndarray, " N"]]:
    scene, _, split = name.rpartition("/")
    if split not in SPLITS:
        raise InputError(f"{name}: name a scene and its split, as in paper-windmill/train.")
    listed = _split(root / scene, split)
    return root / scene, split, listed, indices(len(listed.ids), frames, name)


def _split(scene: Path, split: str) -> _Split:
    """The split as it is stored, or as DyCheck makes it: camera 0 trains, the others test."""
    path = scene / "splits" / f"{split}.json"
    if path.is_file():
        note = json_of(path)
        with reading(path, "DyCheck's split"):
            return _Split([str(one) for one in note["frame_names"]], [*note["time_ids"]])
    ids, about = json_of(scene / "dataset.json"), json_of(scene / "metadata.json")
    with reading(scene / "metadata.json", "DyCheck's frames"):
        of = [str(one) for one in ids["ids"]]
        of = [one for one in of if (about[one]["camera_id"] == 0) == (split == "train")]
        return _Split(of, [about[one]["warp_id"] for one in of])


def _size(scene: Path, scale: int | None, extra: Any) -> str:
    with reading(scene / "extra.json", "DyCheck's notes"):
        return f"{extra['factor'] if scale is None else scale}x"


def _camera(path: Path, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The pose, and the matrix for pictures of this width."""
    note = json_of(path)
    with reading(path, "DyCheck's camera"):
        bends = [note.get("skew", 0.0), *note["radial_distortion"]]
        bends += note.get("tangential_distortion", note.get("tangential", ()))
        if np.any(np.abs(bends) > 0):
            raise InputError(f"{path}: this lens distorts, which no iPhone clip's does.")
        pose = np.eye(4)
        pose[:3, :3] = np.array(note["orientation"], float).T
        pose[:3, 3] = note["position"]
        focal, (cx, cy) = float(note["focal_length"]), map(float, note["principal_point"])
        K = pinhole(focal, focal * float(note["pixel_aspect_ratio"]), cx, cy)
        K[:2] *= width / float(note["image_size"][0])
    return pose, K


def _depth(folder: Path, ids: list[str], size: tuple[int, ...]) -> np.ndarray | None:
    """z-depth; NaN in frames that have none, None where no frame has."""
    paths = [folder / f"{one}.npy" for one in ids]
    if not any(path.is_file() for path in paths):
        return None
    maps = np.full((len(ids), *size), np.nan)
    for row, path in enumerate(paths):
        if path.is_file():
            one = array_of(path)
            with reading(path, "DyCheck's depth"):
                maps[row] = known(one.astype(np.float64).reshape(size))
    return maps


def _keypoints(folder: Path, ids: list[str]) -> PointTracks | None:
    found = {row: folder / f"{one}.json" for row, one in enumerate(ids)}
    found = {row: path for row, path in found.items() if path.is_file()}
    if not found:
        return None
    points = {row: json_of(path) for row, path in found.items()}
    uv = np.full((len(next(iter(points.values()))), len(ids), 2), np.nan)
    visible = np.zeros(uv.shape[:2], bool)
    for row, listed in points.items():
        with reading(found[row], "DyCheck's keypoints"):
            xyv = np.array(listed, float).reshape(-1, 3)
            visible[:, row] = xyv[:, 2] > 0
            uv[:, row] = np.where(visible[:, row, None], xyv[:, :2] + 0.5, np.nan)
    marked = np.isin(np.arange(len(ids)), list(found))
    return PointTracks(visible, uv, query=first_visible(visible), known=marked)
