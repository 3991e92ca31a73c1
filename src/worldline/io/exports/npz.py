"""A scene as one NumPy archive, for whoever wants arrays and nothing else; and back."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from worldline.errors import InputError, StorageError
from worldline.io.exports.registry import Choices
from worldline.scene import Cameras, Scene
from worldline.scene.motion import load_field
from worldline.scene.scene_files import split_shared
from worldline.scene.store import atomic_file, to_json

CONVENTIONS = (
    "OpenCV axes: x right, y down, z forward; the world is the first frame's camera. "
    "depth is z-depth in scene units (NaN: unknown). Pixels are (x, y), the top-left pixel's "
    "centre at (0.5, 0.5). `intrinsics` are in pixels of the input (`original_size`, lens "
    "distortion undone), `intrinsics_working` in pixels of frames, depth, confidence and dynamic."
)


_SHARED = ("depth", "confidence", "dynamic")  # which a motion field may hold too


def export_npz(scene: Scene, path: Path, _choices: Choices) -> None:
    """All arrays of the scene, the frames among them."""
    write_npz(scene, path)


def write_npz(scene: Scene, path: str | Path, *, frames: bool = True) -> None:
    """Write cameras, depth, confidence and dynamic as named arrays, uncompressed.

    frames: whether the RGB frames are included.
    Keys: times [N] seconds, world_from_camera [N,4,4], intrinsics [N,3,3] (input pixels),
    intrinsics_working [N,3,3], registered [N], focal_sigma [N] (input pixels), depth, confidence,
    dynamic [N,H,W], original_size (width, height), metric, conventions, and frames [N,H,W,3].
    `rest` (JSON) and the `motion.` arrays are what `worldline.load_scene` needs beside them. What
    was at `path` is replaced only by the whole new file. Raises StorageError when the disk
    refuses.
    """
    cameras = scene.cameras
    arrays: dict[str, Any] = {
        "times": scene.times,
        "world_from_camera": cameras.world_from_camera,
        "intrinsics": scene.original_intrinsics,
        "intrinsics_working": cameras.intrinsics,
        "registered": cameras.registered,
        "focal_sigma": cameras.focal_sigma * (scene.original_size[0] / scene.size[0]),
        "depth": scene.depth,
        "confidence": scene.confidence,
        "dynamic": scene.dynamic,
        "original_size": np.array(scene.original_size),
        "metric": np.array(scene.metric),
        "conventions": np.array(CONVENTIONS),
    }
    shared, motion = split_shared(scene.motion, {name: arrays[name] for name in _SHARED})
    rest = {
        "camera_motion": cameras.motion,
        "distortion": cameras.distortion,
        "motion": {"kind": scene.motion.kind, "shared": shared},
        "provenance": scene.provenance,
    }
    arrays |= {f"motion.{name}": array for name, array in motion.items()}
    arrays["rest"] = np.array(to_json(rest))
    if frames:
        arrays["frames"] = scene.frames
    needed = sum(array.nbytes for array in arrays.values())
    # An open file, since np.savez would add ".npz" to the temporary name.
    with atomic_file(path, needed=needed) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def read_npz(path: str | Path) -> Scene:
    """The scene that `write_npz` wrote, its frames included.

    Raises InputError when it holds no scene, StorageError when it is damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            if not {"rest", "frames", "intrinsics_working"} <= set(content):
                raise InputError(
                    f"{path.name} holds no scene with its frames, only {', '.join(content)}; "
                    "a scene's .npz is written by scene.export or worldline export"
                )
            arrays = {name: content[name] for name in content}
        return _scene_of(arrays)
    except FileNotFoundError as error:
        raise InputError(f"no scene at {path}: there is no such file") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StorageError(f"{path} is damaged ({error}); export it again") from error


def _scene_of(arrays: dict[str, np.ndarray]) -> Scene:
    rest = json.loads(arrays["rest"].item())
    original_size = (int(arrays["original_size"][0]), int(arrays["original_size"][1]))
    working = arrays["frames"].shape[2] / original_size[0]
    cameras = Cameras(
        arrays["world_from_camera"],
        arrays["intrinsics_working"],
        arrays["registered"],
        arrays["focal_sigma"] * working,
        rest["camera_motion"],
        None if rest["distortion"] is None else tuple(rest["distortion"]),
    )
    field = {
        name.removeprefix("motion."): array
        for name, array in arrays.items()
        if name.startswith("motion.")
    }
    field |= {name: arrays[there] for name, there in rest["motion"]["shared"].items()}
    return Scene(
        frames=arrays["frames"],
        times=arrays["times"],
        cameras=cameras,
        depth=arrays["depth"],
        confidence=arrays["confidence"],
        dynamic=arrays["dynamic"],
        motion=load_field(rest["motion"]["kind"], field),
        original_size=original_size,
        metric=bool(arrays["metric"]),
        provenance=rest["provenance"],
    )
