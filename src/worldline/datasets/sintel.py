"""MPI Sintel: rendered film scenes with depth, cameras and flow (Butler et al., ECCV 2012).

Layout, from sintel.is.tue.mpg.de and the ``sintel_io.py`` that comes with the depth archive:
``training/{final,clean}/SCENE/frame_0001.png``, ``depth/SCENE/frame_0001.dpt``,
``camdata_left/SCENE/frame_0001.cam``, ``flow/SCENE/frame_0001.flo`` (to the next frame),
``invalid/SCENE/frame_0001.png`` (255: the flow is not valid) and, where MonST3R's
``dynamic_label_perfect/SCENE/frame_0001.png`` was added, what moves (255).

A .cam holds K, whose principal point (511.5, 217.5) of 1024x436 has integer pixel centres, and
[R|t] from world to camera in OpenCV axes; a .dpt is z-depth. Lengths are those of the film's scene,
which are not measured metres. Licence of the data: CC BY 3.0 (Blender Foundation), research.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from worldline.datasets.cameras import from_integer_centres, inverse
from worldline.datasets.clip import Clip
from worldline.datasets.files import (
    clip_folders,
    first_place,
    listed,
    missing,
    one_of,
    problems_in,
    reading,
    some,
)
from worldline.datasets.frames import Frames, flow_of_pairs, indices
from worldline.datasets.pictures import images, known, picture
from worldline.errors import InputError

PASSES = ("final", "clean")
SCENES = (  # the fourteen that camera poses and video depth are reported on, since MonST3R
    "alley_2", "ambush_4", "ambush_5", "ambush_6", "cave_2", "cave_4", "market_2", "market_5",
    "market_6", "shaman_3", "sleeping_1", "sleeping_2", "temple_2", "temple_3",
)  # fmt: skip
EVALUATED = tuple(f"final/{scene}" for scene in SCENES)

_TAG = np.float32(202021.25)  # begins every file, and tells a big-endian one


def names(root: Path) -> list[str]:
    """``final/alley_1``, ..., ``clean/alley_1``, ... of the passes that are there."""
    return list(_clips(root))


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A scene of a pass; ``frames`` are positions from 0."""
    folder = one_of(_clips(root), name, root)
    pictures = some(listed(folder, "frame_*.png"), folder, "frame_*.png")
    chosen = indices(len(pictures), frames, name)
    files = [pictures[k] for k in chosen]
    pixels = images(files)
    shape = pixels.shape[1:3]
    depth = _beside(files, "depth", ".dpt")
    cameras = _beside(files, "camdata_left", ".cam")
    K, camera_from_world = _cameras(cameras) if cameras else (None, None)
    return Clip(
        name=name,
        frames=pixels,
        frame_names=tuple(file.stem for file in files),
        metric=False,
        world_from_camera=None if camera_from_world is None else inverse(camera_from_world),
        intrinsics=None if K is None else from_integer_centres(K),
        depth=np.stack([_depth(file, shape) for file in depth]) if depth else None,
        dynamic=_dynamic(files),
        flow=_flow(files, chosen, shape),
    )


def problems(root: Path) -> list[str]:
    """Frames that lack their depth or camera, and pairs that lack their flow."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    pictures = some(listed(folder, "frame_*.png"), folder, "frame_*.png")
    base = folder.parent.parent
    lines = missing(pictures)
    for what, suffix, last in (
        ("depth", ".dpt", None),
        ("camdata_left", ".cam", None),
        ("flow", ".flo", -1),
    ):
        if (base / what).is_dir():
            lines += missing(_place(file, what, suffix) for file in pictures[:last])
        else:  # an archive of its own: one line, not one a frame
            lines.append(f"{base / what}: is missing")
    return lines


def _clips(root: Path) -> dict[str, Path]:
    base = first_place(root, ("training", "MPI-Sintel-complete/training", "MPI-Sintel/training"))
    base = base or root
    there = [one for one in PASSES if (base / one).is_dir()]
    if not there:
        raise InputError(f"{root}: is no Sintel; looked for training/final/SCENE/frame_0001.png.")
    return {
        f"{one}/{name}": folder
        for one in there
        for name, folder in clip_folders(base / one, _has_frames, "SCENE/frame_0001.png").items()
    }


def _has_frames(folder: Path) -> bool:
    return next(folder.glob("frame_*.png"), None) is not None


def _place(file: Path, what: str, suffix: str) -> Path:
    return file.parents[2] / what / file.parent.name / (file.stem + suffix)


def _beside(files: list[Path], what: str, suffix: str) -> list[Path] | None:
    """Each frame's file of another kind; None where that archive was not extracted."""
    folder = files[0].parents[2] / what
    return [_place(file, what, suffix) for file in files] if folder.is_dir() else None


def _sized(file: Path, channels: int) -> Float32[np.ndarray, "h w channels"]:
    """A .dpt or .flo: tag, width, height, then float32 rows."""
    with reading(file, "a Sintel file"):
        data = file.read_bytes()
        if np.frombuffer(data, "<f4", 1)[0] != _TAG:
            raise ValueError("its tag is wrong")
        width, height = np.frombuffer(data, "<i4", 2, offset=4).tolist()
        values = np.frombuffer(data, "<f4", offset=12)
        return values.reshape(height, width, channels)


def _depth(file: Path, shape: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    depth = _sized(file, 1)[..., 0]
    if depth.shape != shape:
        raise InputError(f"{file}: is {depth.shape}, its frame {shape}; replace one of them.")
    return known(depth)


def _cameras(files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    K, camera_from_world = np.empty((len(files), 3, 3)), np.tile(np.eye(4), (len(files), 1, 1))
    for k, file in enumerate(files):
        with reading(file, "a Sintel camera"):
            data = file.read_bytes()
            if np.frombuffer(data, "<f4", 1)[0] != _TAG:
                raise ValueError("its tag is wrong")
            K[k] = np.frombuffer(data, "<f8", 9, offset=4).reshape(3, 3)
            camera_from_world[k, :3] = np.frombuffer(data, "<f8", 12, offset=76).reshape(3, 4)
    return K, camera_from_world


def _flow(files: list[Path], chosen: np.ndarray, shape: tuple[int, int]) -> np.ndarray | None:
    flows = {}
    for file, index in zip(files[:-1], chosen.tolist(), strict=False):
        place = _place(file, "flow", ".flo")
        if place.is_file():
            flow = np.array(_sized(place, 2))
            invalid = _place(file, "invalid", ".png")
            if invalid.is_file():
                flow[picture(invalid) > 0] = np.nan
            flows[index] = flow
    return flow_of_pairs(flows, chosen, shape)


def _dynamic(files: list[Path]) -> np.ndarray | None:
    """What moves; None unless all of the frames have their label."""
    labels = [_place(file, "dynamic_label_perfect", ".png") for file in files]
    if not all(label.is_file() for label in labels):
        return None
    pictures = [picture(label) for label in labels]
    return np.stack([one if one.ndim == 2 else one[..., 0] for one in pictures]) > 127
