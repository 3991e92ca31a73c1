"""Depth maps as 16-bit PNG in whole steps of a stated unit, which most programs read."""

from pathlib import Path

from worldline.io.exports.folder import describe, export_folder
from worldline.io.exports.pictures import (
    depth_steps,
    depth_unit,
    frame_name,
    known_depth,
    write_png,
)
from worldline.io.exports.registry import Choices
from worldline.scene import Scene
from worldline.scene.store import write_json


def export_depth_png(scene: Scene, path: Path, choices: Choices) -> None:
    """`000000.png` and so on at the working size, and `meta.json` with the unit and the cameras.

    A value times `unit` is the z-depth in scene units, within half a unit; 0 is unknown, as is a
    depth below `choices.min_confidence`. Raises InputError where `path` may not be replaced,
    StorageError when the disk refuses.
    """
    unit = depth_unit(scene)
    needed = scene.depth.nbytes // 2
    with export_folder(scene, path, "depth-png", choices, needed) as folder:
        for i in range(len(scene)):
            keep = known_depth(scene, i, choices.min_confidence)
            steps = depth_steps(scene.depth[i], keep, unit)
            write_png(folder / frame_name(i, ".png"), steps)
        write_json(folder / "meta.json", _meta(scene, unit))


def _meta(scene: Scene, unit: float) -> dict[str, object]:
    return {
        "kind": "z-depth along the camera's forward axis, in steps of `unit`; 0 is unknown",
        "unit": unit,
        "files": [frame_name(i, ".png") for i in range(len(scene))],
        **describe(scene),
    }
