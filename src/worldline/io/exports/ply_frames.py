"""One point cloud a frame, as numbered PLY files, for players of point sequences."""

from pathlib import Path

from worldline.io.exports.folder import export_folder
from worldline.io.exports.pictures import frame_name, known_depth
from worldline.io.exports.ply import ply_bytes
from worldline.io.exports.points import frame_points
from worldline.io.exports.registry import Choices
from worldline.scene import Scene


def export_ply_frames(scene: Scene, path: Path, choices: Choices) -> None:
    """`000000.ply` and so on: each frame's own points at its own time, moving ones included.

    `choices.max_points` and `choices.min_confidence` hold for each file. A frame without known
    depth is a file without points. Raises InputError where `path` may not be replaced,
    StorageError when the disk refuses.
    """
    with export_folder(scene, path, "ply-frames", choices) as folder:
        for i in range(len(scene)):
            keep = known_depth(scene, i, choices.min_confidence)
            cloud = frame_points(scene, i, keep, choices.max_points)
            (folder / frame_name(i, ".ply")).write_bytes(ply_bytes(cloud))
