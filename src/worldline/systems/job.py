"""`reconstruct`: reads a source, lets a system work on it in stages, and saves the scene."""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import worldline
from worldline.errors import InputError
from worldline.io import Clip, read_clip
from worldline.scene import Scene, load_scene
from worldline.scene.scene_files import write_scene_files
from worldline.scene.store import to_json
from worldline.selfcheck import PAGE, check_scene, report_page
from worldline.systems.listener import Report, StageListener
from worldline.systems.networks import CamerasFrom, ChosenNetwork, Precision, chosen_network
from worldline.systems.registry import System, find_system
from worldline.systems.stages import Arrays, Stages

_FILES = ("intrinsics", "cameras_from", "depth_from", "masks_from")  # choices that may be files
_LIBRARIES = ("torch", "numpy", "opencv-python-headless", "pycolmap", "av")


def reconstruct(  # noqa: PLR0913 # one name for each choice a user has
    source: str | Path,
    *,
    out: str | Path | None = None,
    system: str = "classic",
    start: float | None = None,
    end: float | None = None,
    stride: int = 1,
    max_frames: int | None = None,
    size: int | None = 640,
    focal: float | None = None,
    intrinsics: str | Path | Sequence[float] | None = None,
    cameras_from: str | Path | None = None,
    depth_from: str | Path | None = None,
    masks_from: str | Path | None = None,
    weights: str | Path | None = None,
    device: str | None = None,
    cameras: CamerasFrom = "head",
    tracker: str | Path | None = None,
    precision: Precision = "auto",
    seed: int = 0,
    overwrite: bool = False,
    listener: StageListener | None = None,
) -> Scene:
    """Turn a video, a folder of images, a glob or one image into a Scene.

    Args:
        source: the file, folder or glob.
        out: directory to save the scene in, with a page (report.html) on how far to trust it; the
            scene returned is then mapped from there. Finished stages are kept beside it in
            `.<name>.partial`, so that the same call resumes after a kill. None: nothing is written.
        system: how; a name in `worldline.systems.SYSTEMS`.
        start: first time to keep, in seconds of the source's own time stamps.
        end: frames at or after this time are left out.
        stride: keep every stride-th frame of the range.
        max_frames: keep at most the first max_frames of those.
        size: longest side of the working frames in pixels; never enlarges; None: as they are.
        focal: focal length in pixels of the upright original; None: from metadata, or estimated.
        intrinsics: (fx, fy, cx, cy[, k1, k2, p1, p2[, k3]]) in pixels of the upright original,
            or a .json or .npz file with them; distortion is undone.
        cameras_from: cameras that are known: a COLMAP model, nerfstudio's transforms.json, a TUM
            trajectory or an .npz; their units become the scene's. NaN, or none for a frame:
            unknown, and solved.
        depth_from: depth that is known, in the units of the cameras: a folder of 16-bit .png
            (with a `unit` in meta.json), .exr or .npy, or an .npz. NaN (0 in .png): unknown.
        masks_from: what is known to move: a folder of .png (white moves) or .npy, or an .npz.
        weights: of a system that is a network: a file, or the name of a checkpoint that was
            downloaded; None: the best of its checkpoints that are on this machine.
        device: that a network runs on, such as "cuda"; None: a GPU if there is one.
        cameras: what a network's cameras are read from: its camera "head", or its "rays".
        tracker: weights of a point tracker, for systems that take one; None: the best that is on
            this machine, or optical flow.
        precision: of the matrix products of networks' transformers; "auto": half where that is
            fast. All else is computed in float32.
        seed: of every random choice; the same source, settings and seed give the same scene.
        overwrite: replace the scene that is at `out`.
        listener: is told of each stage.

    Raises:
        InputError: the source, a setting or `out` cannot be used, or another run writes to `out`.
        ReconstructionError: the source was read, but no scene can be made of it.
        StorageError: the disk refuses.
    """
    chosen = find_system(system)
    network = chosen_network(chosen, weights, device, cameras, tracker, precision)
    choices: dict[str, Any] = {
        "start": start,
        "end": end,
        "stride": stride,
        "max_frames": max_frames,
        "size": size,
        "focal": focal,
        "intrinsics": intrinsics,
        "cameras_from": cameras_from,
        "depth_from": depth_from,
        "masks_from": masks_from,
    }
    further = {"weights": network.identity, "cameras": cameras} if network else {}
    target = None if out is None else _checked_target(Path(out), overwrite)
    folder = None if target is None else target.with_name(f".{target.name}.partial")
    key = _key(source, chosen, choices, further | {"seed": seed})
    with Stages(folder, key, listener) as stages:
        read = stages.run("read", lambda report: _to_arrays(_read(source, choices, report)))
        clip = _from_arrays(read)
        scene = _made(chosen, clip, stages, network, seed)
        settings = choices | {"seed": seed} | ({"cameras": cameras} if network else {})
        scene = dataclasses.replace(
            scene, provenance=_provenance(scene, clip, stages, chosen, settings)
        )
        if target is None:
            return scene
        _save(scene, target, overwrite, listener)
    return load_scene(target)


def _made(
    system: System, clip: Clip, stages: Stages, network: ChosenNetwork | None, seed: int
) -> Scene:
    """What the system makes of the clip."""
    make = system.load()
    if network is None:
        return make(clip, stages, seed=seed)
    loaded, more = network.arguments()
    return make(clip, stages, loaded, seed=seed, **more)


def _checked_target(out: Path, overwrite: bool) -> Path:
    """The absolute path to save at; InputError if something is there that may not be replaced."""
    if out.exists() or out.is_symlink():
        if not overwrite:
            raise InputError(
                f"{out} exists already: pass --overwrite to replace it, or choose another --out"
            )
        if not (out / "scene.json").is_file():
            raise InputError(f"{out} is not replaced: it holds no scene.json, so may be anything")
    return out.absolute()


def _key(
    source: str | Path, system: System, choices: dict[str, Any], further: dict[str, Any]
) -> str:
    """Hash of all that a run's results depend on.

    The source's name, size and time of change stand for its content, so that resuming does not
    read it all again.
    """
    parts = {
        "version": worldline.__version__,
        "system": [system.name, system.revision],
        "libraries": _versions(),
        "source": _identity(source),
        "choices": {name: choice for name, choice in choices.items() if name not in _FILES},
        "files": [_identity_or_numbers(choices[name]) for name in _FILES],
        **further,
    }
    return hashlib.sha256(to_json(parts).encode()).hexdigest()


def _identity(source: str | Path) -> list[Any]:
    path = Path(source).expanduser().absolute()
    with contextlib.suppress(OSError, ValueError):
        entries = sorted(path.iterdir()) if path.is_dir() else [path]
        if not path.exists():  # a glob: the folder's other files may only cost a resume
            entries = sorted(path.parent.iterdir())
        stats = [entry.stat() for entry in entries if entry.is_file()]
        names = [str(entry) for entry in entries if entry.is_file()]
        seen = [[s.st_size, s.st_mtime_ns] for s in stats]
        return [str(path), names, seen]
    return [str(path)]


def _identity_or_numbers(given: str | Path | Sequence[float] | None) -> list[Any] | None:
    if given is None:
        return None
    if isinstance(given, str | Path):
        return _identity(given)
    return [float(number) for number in given]


def _read(source: str | Path, choices: dict[str, Any], report: Report) -> Clip:
    return read_clip(source, **choices, progress=report)


def _to_arrays(clip: Clip) -> Arrays:
    """A clip as arrays; what is no array goes into one of JSON bytes."""
    parts = {field.name: getattr(clip, field.name) for field in dataclasses.fields(clip)}
    arrays = {name: part for name, part in parts.items() if isinstance(part, np.ndarray)}
    others = {name: part for name, part in parts.items() if name not in arrays}
    return arrays | {"others": np.frombuffer(to_json(others).encode(), np.uint8)}


def _from_arrays(arrays: Arrays) -> Clip:
    others = json.loads(arrays["others"].tobytes())
    parts: dict[str, Any] = {name: array for name, array in arrays.items() if name != "others"}
    for name, part in others.items():
        parts[name] = tuple(part) if isinstance(part, list) else part
    return Clip(**parts)


def _provenance(
    scene: Scene, clip: Clip, stages: Stages, system: System, settings: dict[str, Any]
) -> dict[str, Any]:
    """Where the scene comes from: what the system says of it, and all that `reconstruct` knows."""
    for name in _FILES:
        if isinstance(settings[name], str | Path):
            settings = settings | {name: Path(settings[name]).name}
    known = {
        "worldline": worldline.__version__,
        "system": system.name,
        "revision": system.revision,
        "source": clip.source,
        "fingerprint": clip.fingerprint,
        "settings": settings,
        "kept": len(clip.frames),
        "total": clip.total,
        "kept_line": clip.kept_line(),
        "intrinsics_source": clip.intrinsics_source,
        "stages": [dataclasses.asdict(stage) for stage in stages.times],
        "peak_memory": peak_memory(),
        "libraries": _versions(),
        "warnings": [*clip.notes, *scene.provenance.get("warnings", ())],
    }
    return {**scene.provenance, **known}


def _versions() -> dict[str, str]:
    versions = {}
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def peak_memory() -> int:
    """The most bytes of memory that this process has held so far."""
    with contextlib.suppress(OSError, StopIteration):
        # unlike getrusage, Linux's own book does not count the process that started this one
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _save(scene: Scene, target: Path, overwrite: bool, listener: StageListener | None) -> None:
    """Save the scene with its self-check, so that no scene is ever there without one."""
    with _told(listener, "check"):
        page = report_page(scene, check_scene(scene))
    with _told(listener, "save"):
        _clear(target)
        write_scene_files(scene, target, overwrite=overwrite, pages={PAGE: page})


@contextlib.contextmanager
def _told(listener: StageListener | None, name: str) -> Iterator[None]:
    """Tell the listener of what the block does."""
    if listener:
        listener.stage_started(name)
    started = time.perf_counter()
    yield
    if listener:
        listener.stage_finished(name, time.perf_counter() - started, False)


def _clear(target: Path) -> None:
    """Remove what runs that were killed while saving left beside the target."""
    for left in target.parent.glob(f".{_glob_escape(target.name)}.partial-*"):
        owner = re.fullmatch(r".*\.partial-(\d+)", left.name)
        if owner and not _alive(int(owner[1])):
            shutil.rmtree(left, ignore_errors=True)


def _glob_escape(name: str) -> str:
    """A name as a pattern that matches it alone."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
