"""The single checks of `worldline doctor`."""

import importlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_REINSTALL = "install worldline again (pip install --force-reinstall worldline)"
_ENOUGH_MEMORY = 3e9  # bytes: what 48 frames of 480x270 may need
_ENOUGH_DISK = 2e9


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. core: nothing works without it."""

    name: str
    ok: bool
    text: str
    core: bool = True


def run_checks() -> list[Check]:
    """Look at everything; what goes wrong in a check is its result."""
    return [_guarded(name, look, core) for name, look, core in _CHECKS]


def _guarded(name: str, look: Callable[[], tuple[bool, str]], core: bool) -> Check:
    try:
        ok, text = look()
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        ok, text = False, f"{type(error).__name__}: {first_line}; {_REINSTALL}"
    return Check(name, ok, text, core)


def _python() -> tuple[bool, str]:
    fits = (3, 11) <= sys.version_info[:2] <= (3, 12)
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return fits, text if fits else f"{text}; use Python 3.11 or 3.12"


def _torch() -> tuple[bool, str]:
    torch = _module("torch")
    torch.zeros(2).sum()
    return True, f"{torch.__version__}, {torch.get_num_threads()} threads"


def _gpu() -> tuple[bool, str]:
    torch = _module("torch")
    if torch.cuda.is_available():
        return True, torch.cuda.get_device_name(0)
    if torch.version.cuda is None and shutil.which("nvidia-smi"):
        return False, "there is one, but this torch is a CPU build: install torch with CUDA"
    return True, "none, which is fine: the classic system runs on the CPU"


def _opencv() -> tuple[bool, str]:
    cv2 = _module("cv2")
    cv2.DISOpticalFlow_create()
    cv2.SIFT_create()
    return True, cv2.__version__


def _pyav() -> tuple[bool, str]:
    av = _module("av")
    missing = [name for name in ("h264", "hevc", "vp9", "av1") if name not in av.codecs_available]
    text = f"{av.__version__}" + (f", cannot decode {', '.join(missing)}" if missing else "")
    return "h264" in av.codecs_available, text


def _pycolmap() -> tuple[bool, str]:
    return True, str(_module("pycolmap").__version__)


def _memory() -> tuple[bool, str]:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # macOS does not say what is free
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    text = f"{free / 1e9:.1f} GB free"
    return free > _ENOUGH_MEMORY, text if free > _ENOUGH_MEMORY else (
        f"{text}: long clips may not fit; close other programs or pass a smaller --size"
    )


def _disk() -> tuple[bool, str]:
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{free / 1e9:.1f} GB free here"
    return free > _ENOUGH_DISK, text if free > _ENOUGH_DISK else f"{text}: free some"


def _store() -> tuple[bool, str]:
    """Write a small scene and read it back."""
    import numpy as np

    from worldline.scene import Cameras, Scene, StillField, load_scene

    intrinsics = np.array([[[8.0, 0, 4], [0, 8, 4], [0, 0, 1]]])
    cameras = Cameras(np.eye(4)[None], intrinsics, np.ones(1, bool), np.zeros(1), motion="unknown")
    flat = np.ones((1, 8, 8), np.float32)
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    scene = Scene(frames, np.zeros(1), cameras, flat, flat, 0 * flat, StillField(8, 8), (8, 8))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene"
        scene.save(path)
        same = bool((load_scene(path).depth == flat).all())
        return same, "a scene was written and read back" if same else "a scene came back changed"


def _module(name: str) -> Any:
    return importlib.import_module(name)


_CHECKS: tuple[tuple[str, Callable[[], tuple[bool, str]], bool], ...] = (
    ("python", _python, True),
    ("torch", _torch, True),
    ("gpu", _gpu, False),
    ("opencv", _opencv, True),
    ("pyav", _pyav, True),
    ("pycolmap", _pycolmap, True),
    ("memory", _memory, False),
    ("disk", _disk, False),
    ("store", _store, True),
)
