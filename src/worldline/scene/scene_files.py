"""A Scene on disk: scene.json, arrays.safetensors, motion.safetensors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from worldline.errors import InputError, StorageError
from worldline.scene.cameras import Cameras
from worldline.scene.motion import MotionField, load_field
from worldline.scene.store import (
    atomic_directory,
    map_safetensors,
    to_json,
    write_arrays,
    write_json,
    write_text,
)

FORMAT = "worldline-scene"
VERSION = 1
_SCENE = ("frames", "times", "depth", "confidence", "dynamic")
_CAMERAS = ("world_from_camera", "intrinsics", "registered", "focal_sigma")


def write_scene_files(
    scene: Any, path: str | Path, *, overwrite: bool, pages: Mapping[str, str] | None = None
) -> None:
    """Write `scene` (a Scene) to the directory `path`; see Scene.save.

    pages: texts to lay beside the scene's own files, by file name; reading a scene ignores them.
    """
    pages = pages or {}
    arrays = {name: getattr(scene, name) for name in _SCENE}
    arrays |= {name: getattr(scene.cameras, name) for name in _CAMERAS}
    shared, motion = split_shared(scene.motion, arrays)
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "original_size": list(scene.original_size),
        "metric": scene.metric,
        "cameras": {"motion": scene.cameras.motion, "distortion": scene.cameras.distortion},
        "motion": {"kind": scene.motion.kind, "shared": shared},
        "arrays": _shapes(arrays),
        "motion_arrays": _shapes(motion),
        "provenance": scene.provenance,
    }
    to_json(meta)  # what JSON cannot hold is the caller's mistake: say so before writing
    needed = sum(array.nbytes for array in (*arrays.values(), *motion.values()))
    needed += sum(len(text) for text in pages.values())
    with atomic_directory(path, overwrite=overwrite, needed=needed) as directory:
        write_arrays(directory / "arrays.safetensors", arrays)
        write_arrays(directory / "motion.safetensors", motion)
        for name, text in pages.items():
            write_text(directory / name, text)
        write_json(directory / "scene.json", meta)


def read_scene_files(path: str | Path) -> dict[str, Any]:
    """Scene's constructor arguments from the directory `path`; see load_scene."""
    path = Path(path)
    meta = _read_meta(path)
    try:
        arrays = _read_arrays(path / "arrays.safetensors", meta["arrays"])
        motion = _read_arrays(path / "motion.safetensors", meta["motion_arrays"])
        motion |= {
            name: arrays[name_there] for name, name_there in meta["motion"]["shared"].items()
        }
        distortion = meta["cameras"]["distortion"]
        cameras = Cameras(
            world_from_camera=arrays["world_from_camera"],
            intrinsics=arrays["intrinsics"],
            registered=arrays["registered"],
            focal_sigma=arrays["focal_sigma"],
            motion=meta["cameras"]["motion"],
            distortion=None if distortion is None else tuple(distortion),
        )
        width, height = meta["original_size"]
        return {
            **{name: arrays[name] for name in _SCENE},
            "cameras": cameras,
            "motion": load_field(meta["motion"]["kind"], motion),
            "original_size": (width, height),
            "metric": meta["metric"],
            "provenance": meta["provenance"],
        }
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path}/scene.json is damaged: {error!r}") from error


def _read_meta(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        kept = sorted(path.parent.glob(f".{path.name}.old-*")) if path.parent.is_dir() else []
        hint = f"; an interrupted overwrite left the earlier one at {kept[0]}" if kept else ""
        raise InputError(f"no scene at {path}: there is no such directory{hint}")
    try:
        meta = json.loads((path / "scene.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} is not a scene: it holds no scene.json") from error
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}/scene.json cannot be read: {error}") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise InputError(f"{path}/scene.json is not a Worldline scene's")
    version = meta.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise InputError(
            f"{path} is a scene of format version {version}, this Worldline reads up to "
            f"{VERSION}: update it"
        )
    return meta


def _read_arrays(path: Path, expected: dict[str, Any]) -> dict[str, np.ndarray]:
    """Mapped arrays; StorageError unless they are the ones that scene.json announces."""
    arrays = map_safetensors(path)
    if (found := _shapes(arrays)) != expected:
        raise StorageError(
            f"{path} does not belong to its scene.json: it holds {found}, expected {expected}"
        )
    return arrays


def _shapes(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {n: {"shape": list(a.shape), "dtype": a.dtype.name} for n, a in sorted(arrays.items())}


def split_shared(
    field: MotionField, scene_arrays: dict[str, np.ndarray]
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Names of the field's arrays that are the scene's own, stored once; and the others."""
    places = {_place(array): name for name, array in scene_arrays.items()}
    arrays = field.arrays()
    shared = {name: places[_place(a)] for name, a in arrays.items() if _place(a) in places}
    return shared, {name: a for name, a in arrays.items() if name not in shared}


def _place(array: np.ndarray) -> tuple:
    """Equal for arrays that are the same memory read in the same way."""
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype.str
