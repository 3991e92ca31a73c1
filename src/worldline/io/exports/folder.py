"""Exports that are folders: whole or absent, and each says what it is."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from worldline.io.exports.registry import Choices
from worldline.scene import Scene
from worldline.scene.store import atomic_directory, write_json


@contextlib.contextmanager
def export_folder(
    scene: Scene, path: Path, name: str, choices: Choices, needed: int = 0
) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes `path` when the block ends without an error.

    A note `worldline-NAME.json` in it holds the cameras, the times and the conventions. Only a
    folder with the note of the same format is ever replaced: a COLMAP project or a data set that
    somebody else made looks like an export otherwise.

    needed: bytes that will be written, checked against the free space beforehand.
    Raises InputError where `path` may not be replaced, StorageError when the disk refuses.
    """
    note = f"worldline-{name}.json"
    with atomic_directory(path, overwrite=choices.overwrite, marker=note, needed=needed) as folder:
        write_json(folder / note, describe(scene))
        yield folder


def describe(scene: Scene) -> dict[str, object]:
    """Cameras, times and conventions of pictures at the working size, as plain JSON values."""
    return {
        "axes": "OpenCV: x right, y down, z forward; the world is the first frame's camera",
        "pixels": "(x, y) of pictures of `size`, the top-left pixel's centre at (0.5, 0.5)",
        "lengths": "metres" if scene.metric else "scene units",
        "size": scene.size,
        "original_size": scene.original_size,
        "times": scene.times,
        "intrinsics": scene.cameras.intrinsics,
        "world_from_camera": scene.cameras.world_from_camera,
        "registered": scene.cameras.registered,
    }
