"""Depth maps as OpenEXR, which compositing programs read, in full precision."""

from pathlib import Path

import numpy as np
import OpenEXR

from worldline.io.exports.folder import export_folder
from worldline.io.exports.pictures import frame_name, known_depth
from worldline.io.exports.registry import Choices
from worldline.scene import Scene


def export_depth_exr(scene: Scene, path: Path, choices: Choices) -> None:
    """`000000.exr` and so on at the working size: one float32 channel, Z.

    Z is the z-depth in scene units, exact; NaN is unknown, as is a depth below
    `choices.min_confidence`. Raises InputError where `path` may not be replaced, StorageError
    when the disk refuses.
    """
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    # The library does not tell of a full disk, so there must be room for all beforehand.
    with export_folder(scene, path, "depth-exr", choices, scene.depth.nbytes) as folder:
        for i in range(len(scene)):
            known = known_depth(scene, i, choices.min_confidence)
            depth = np.where(known, scene.depth[i], np.float32(np.nan))
            OpenEXR.File(header, {"Z": depth}).write(str(folder / frame_name(i, ".exr")))
