"""What a scene can be written as. A new format is one file beside this one and one line here."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline.scene import Scene
    from worldline.scene.timing import At


@dataclass(frozen=True)
class Choices:
    """What a format leaves to the user; each takes the ones that mean something to it.

    at: when points are gathered: a frame index (int) or seconds (float).
    max_points: of a cloud, drawn evenly over the frames.
    min_confidence: points whose depth is less sure are left out; None keeps all.
    overwrite: replace what is there, as long as it is an export of the same format.
    """

    at: "At" = 0
    max_points: int | None = 1_000_000
    min_confidence: float | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Format:
    """One way to write a scene.

    ending: of the file's name, "" for a folder.
    loader: "package.module:function", imported when it is first used; the function is
        `(scene: Scene, path: Path, choices: Choices) -> None` and leaves the whole export or
        nothing at `path`.
    extra: what to install beside worldline, as in `pip install worldline[usd]`.
    other_endings: of names that mean this format too.
    solved_only: frames whose camera was interpolated are left out.
    """

    name: str
    ending: str
    summary: str
    loader: str
    extra: str = ""
    other_endings: tuple[str, ...] = ()
    solved_only: bool = False

    def load(self) -> Callable[["Scene", Path, Choices], None]:
        """Import the function that writes. InputError where a library of it is missing."""
        module, _, function = self.loader.partition(":")
        try:
            return getattr(importlib.import_module(module), function)
        except ModuleNotFoundError as error:
            if not self.extra or (error.name or "").startswith("worldline"):
                raise
            raise InputError(
                f"to write {self.name}, {error.name} is needed: "
                f"pip install 'worldline[{self.extra}]'"
            ) from error


_HOME = "worldline.io.exports"
FORMATS = {
    one.name: one
    for one in (
        Format("ply", ".ply", "all points gathered at one time", f"{_HOME}.ply:export_ply"),
        Format("npz", ".npz", "cameras, depth and masks as arrays", f"{_HOME}.npz:export_npz"),
        Format(
            "ply-frames", "", "each frame's points as PLY", f"{_HOME}.ply_frames:export_ply_frames"
        ),
        Format(
            "colmap",
            "",
            "COLMAP project with masks and points",
            f"{_HOME}.colmap:export_colmap",
            solved_only=True,
        ),
        Format(
            "nerfstudio",
            "",
            "data set with transforms.json",
            f"{_HOME}.nerfstudio:export_nerfstudio",
            solved_only=True,
        ),
        Format(
            "tum",
            ".txt",
            "the camera's path, as evo reads it",
            f"{_HOME}.tum:export_tum",
            solved_only=True,
        ),
        Format("depth-png", "", "depth as 16-bit PNG", f"{_HOME}.depth_png:export_depth_png"),
        Format("depth-exr", "", "depth as float EXR", f"{_HOME}.depth_exr:export_depth_exr", "exr"),
        Format("flow", "", "optical flow as .flo", f"{_HOME}.flow:export_flow"),
        Format("tracks-csv", ".csv", "3D tracks as a table", f"{_HOME}.tracks:export_tracks_csv"),
        Format(
            "tracks-npz", ".tracks.npz", "3D tracks as arrays", f"{_HOME}.tracks:export_tracks_npz"
        ),
        Format("glb", ".glb", "animated points, camera and tracks", f"{_HOME}.glb:export_glb"),
        Format(
            "usd",
            ".usdc",
            "camera, points and tracks with time samples",
            f"{_HOME}.usd:export_usd",
            extra="usd",
            other_endings=(".usda", ".usd"),
        ),
        Format(
            "rrd",
            ".rrd",
            "pictures, cameras, points and tracks for the Rerun viewer",
            f"{_HOME}.rrd:export_rrd",
            extra="rerun",
        ),
        Format("video", ".mp4", "RGB | depth | moving | tracks", f"{_HOME}.video:export_video"),
    )
}


def export(
    scene: "Scene", path: str | Path, to: str | None = None, choices: Choices | None = None
) -> Path:
    """Write the scene in a format that other programs read; the path that was written.

    to: a name in `FORMATS`; None takes the one that the path's ending stands for.
    Raises InputError for a format that there is not or a path that may not be replaced,
    StorageError when the disk refuses.
    """
    path, choices = Path(path), choices or Choices()
    form = _find(to, path)
    if form.ending and path.exists() and not choices.overwrite:
        raise InputError(f"{path} exists already; pass overwrite=True to replace it")
    form.load()(scene, path, choices)
    return path


def _find(to: str | None, path: Path) -> Format:
    if to is None:
        name = path.name.lower()
        fitting = [
            one
            for one in FORMATS.values()
            if one.ending and name.endswith((one.ending, *one.other_endings))
        ]
        if not fitting:
            raise InputError(f"{path} does not tell its format; say which: {', '.join(FORMATS)}")
        return max(fitting, key=lambda one: len(one.ending))  # .tracks.npz is no .npz
    if to not in FORMATS:
        raise InputError(f"there is no format {to!r}; there is: {', '.join(FORMATS)}")
    return FORMATS[to]
