"""Point clouds as binary PLY, which every viewer of points and meshes reads."""

from pathlib import Path

import numpy as np

from worldline.io.exports.registry import Choices
from worldline.scene import PointCloud, Scene
from worldline.scene.store import write_bytes

# name, numpy type, PLY type: one vertex as it lies in the file
_PROPERTIES = (
    ("x", "<f4", "float"),
    ("y", "<f4", "float"),
    ("z", "<f4", "float"),
    ("red", "u1", "uchar"),
    ("green", "u1", "uchar"),
    ("blue", "u1", "uchar"),
    ("confidence", "<f4", "float"),
    ("dynamic", "<f4", "float"),
    ("frame", "<i4", "int"),
)
_VERTEX = np.dtype([(name, code) for name, code, _ in _PROPERTIES])


def export_ply(scene: Scene, path: Path, choices: Choices) -> None:
    """All points gathered at `choices.at`."""
    cloud = scene.complete(choices.at, choices.max_points, min_confidence=choices.min_confidence)
    write_ply(cloud, path)


def write_ply(cloud: PointCloud, path: str | Path) -> None:
    """Write the points, their colours and their origin as binary little-endian PLY.

    Axes are the scene's: x right, y down, z forward from the first camera. `confidence`,
    `dynamic` and `frame` (the source frame) are extra properties that viewers may ignore. What
    was at `path` is replaced only by the whole new file. Raises StorageError when the disk
    refuses.
    """
    write_bytes(path, ply_bytes(cloud))


def ply_bytes(cloud: PointCloud) -> bytes:
    """The file that `write_ply` writes."""
    vertices = np.empty(len(cloud), _VERTEX)
    for axis, name in enumerate("xyz"):
        vertices[name] = cloud.xyz[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = cloud.rgb[:, channel]
    vertices["confidence"] = cloud.confidence
    vertices["dynamic"] = cloud.dynamic
    vertices["frame"] = cloud.source_frame
    return _header(len(cloud)) + vertices.tobytes()


def _header(count: int) -> bytes:
    properties = "".join(f"property {ply_type} {name}\n" for name, _, ply_type in _PROPERTIES)
    return (
        "ply\nformat binary_little_endian 1.0\n"
        "comment worldline: x right, y down, z forward from the first camera\n"
        f"element vertex {count}\n{properties}end_header\n"
    ).encode("ascii")
