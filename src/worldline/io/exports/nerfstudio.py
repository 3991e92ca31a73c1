"""A nerfstudio data set: `transforms.json` with frames, masks, depth and points beside it.

nerfstudio's cameras have OpenGL axes (x right, y up, z backward); the world keeps ours. The ray
of its top-left pixel goes through (0.5, 0.5), so the principal point is ours.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int

from worldline.io.exports.folder import export_folder
from worldline.io.exports.pictures import (
    depth_steps,
    depth_unit,
    frame_name,
    known_depth,
    static_mask,
    write_png,
)
from worldline.io.exports.ply import ply_bytes
from worldline.io.exports.points import registered_frames, static_cloud
from worldline.io.exports.registry import Choices
from worldline.scene import Scene
from worldline.scene.store import write_json

_OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def export_nerfstudio(scene: Scene, path: Path, choices: Choices) -> None:
    """Everything at the working size and with its intrinsics, of frames whose camera was solved.

    `images`, `masks` (0 where the picture moves: not trained on), `depths` (16-bit, z-depth in
    steps of `depth_unit_scale_factor`, which nerfstudio must be given on its command line; 0 is
    unknown) and, where there are any, the points of `static_cloud` in `points.ply`. Raises
    InputError where no camera was solved or `path` may not be replaced, StorageError when the
    disk refuses.
    """
    frames = registered_frames(scene)
    unit = depth_unit(scene)
    needed = scene.frames.nbytes + scene.depth.nbytes // 2
    with export_folder(scene, path, "nerfstudio", choices, needed) as folder:
        _write_pictures(scene, frames, unit, folder, choices)
        transforms = _transforms(scene, frames, unit)
        cloud = static_cloud(scene, frames, choices)
        if len(cloud):
            (folder / "points.ply").write_bytes(ply_bytes(cloud))
            transforms["ply_file_path"] = "points.ply"
        write_json(folder / "transforms.json", transforms)


def _write_pictures(
    scene: Scene, frames: Int[np.ndarray, " F"], unit: float, folder: Path, choices: Choices
) -> None:
    for name in ("images", "masks", "depths"):
        (folder / name).mkdir()
    for i in frames.tolist():
        name = frame_name(i, ".png")
        known = known_depth(scene, i, choices.min_confidence)
        write_png(folder / "images" / name, scene.frames[i])
        write_png(folder / "masks" / name, static_mask(scene, i))
        write_png(folder / "depths" / name, depth_steps(scene.depth[i], known, unit))


def _transforms(scene: Scene, frames: Int[np.ndarray, " F"], unit: float) -> dict[str, object]:
    lenses = [_lens(scene, i) for i in frames.tolist()]
    shared = all(lens == lenses[0] for lens in lenses)
    world_from_opengl = scene.cameras.world_from_camera @ _OPENCV_FROM_OPENGL
    return {
        "camera_model": "OPENCV",  # of which a pinhole is the one without distortion
        **dict.fromkeys(("k1", "k2", "p1", "p2"), 0.0),
        "w": scene.size[0],
        "h": scene.size[1],
        **(lenses[0] if shared else {}),
        "depth_unit_scale_factor": unit,
        "frames": [
            {
                "file_path": f"images/{frame_name(i, '.png')}",
                "mask_path": f"masks/{frame_name(i, '.png')}",
                "depth_file_path": f"depths/{frame_name(i, '.png')}",
                "transform_matrix": world_from_opengl[i],
                **({} if shared else lens),
            }
            for i, lens in zip(frames.tolist(), lenses, strict=True)
        ],
    }


def _lens(scene: Scene, i: int) -> dict[str, float]:
    k = scene.cameras.intrinsics[i]
    return {"fl_x": k[0, 0], "fl_y": k[1, 1], "cx": k[0, 2], "cy": k[1, 2]}
