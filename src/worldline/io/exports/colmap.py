"""A COLMAP project: cameras, frames, masks and points, to train splats from or open in its GUI.

COLMAP's axes are OpenCV's and the centre of its top-left pixel is (0.5, 0.5), as ours are.
"""

from pathlib import Path

import numpy as np
import pycolmap
from jaxtyping import Bool, Int

from worldline.io.exports.folder import export_folder
from worldline.io.exports.pictures import frame_name, moving, static_mask, write_png
from worldline.io.exports.points import MOST_STATIC, registered_frames, static_cloud
from worldline.io.exports.registry import Choices
from worldline.scene import PointCloud, Scene
from worldline.scene.motion import look_up
from worldline.scene.visibility import depth_test, project_to

_LONGEST_TRACK = 16  # frames; longer ones cost much and tell little more
_MOST_TESTS = 50_000_000  # points times frames; each takes five bytes for a moment


def export_colmap(scene: Scene, path: Path, choices: Choices) -> None:
    """`sparse/0`, `images` and `masks`, all at the working size and with its intrinsics.

    Only frames whose camera was solved from data; image i+1 is frame i. Masks are named as
    COLMAP wants them (`masks/000000.png.png`), 0 where the picture moves. Points are those of
    `static_cloud` that at least two frames see, in pixels that stay; their observations are
    exact projections. Raises InputError where no camera was solved or `path` may not be
    replaced, StorageError when the disk refuses.
    """
    frames = registered_frames(scene)
    with export_folder(scene, path, "colmap", choices, _bytes(scene)) as folder:
        for name in ("images", "masks", "sparse/0"):
            (folder / name).mkdir(parents=True)
        for i in frames.tolist():
            image = frame_name(i, ".png")
            write_png(folder / "images" / image, scene.frames[i])
            write_png(folder / "masks" / f"{image}.png", static_mask(scene, i))
        _model(scene, frames, choices).write_binary(str(folder / "sparse" / "0"))


def _bytes(scene: Scene) -> int:
    """At most what will be written: the library does not tell of a full disk."""
    points = min(MOST_STATIC, scene.depth.size)
    return scene.frames.nbytes + scene.depth.size + points * (51 + 32 * _LONGEST_TRACK)


def _model(
    scene: Scene, frames: Int[np.ndarray, " F"], choices: Choices
) -> pycolmap.Reconstruction:
    most = min(MOST_STATIC, _MOST_TESTS // len(frames))
    cloud = static_cloud(scene, frames, choices, most)
    seen = _shortened(_seen(scene, frames, cloud))
    keep = seen.sum(axis=1) >= min(2, len(frames))
    cloud, seen = cloud[keep], seen[keep]
    model = pycolmap.Reconstruction()
    camera_ids = _add_cameras(model, scene, frames)
    camera_from_world = scene.cameras.camera_from_world
    for f, i in enumerate(frames.tolist()):
        pose = camera_from_world[i]
        uv, _ = project_to(cloud.xyz[seen[:, f]], scene.cameras.intrinsics[i], pose)
        image = pycolmap.Image(
            name=frame_name(i, ".png"),
            keypoints=uv,
            camera_id=int(camera_ids[f]),
            image_id=i + 1,
        )
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose[:3]))
    _add_points(model, frames, cloud, seen)
    model.update_point_3d_errors()
    return model


def _add_cameras(
    model: pycolmap.Reconstruction, scene: Scene, frames: Int[np.ndarray, " F"]
) -> Int[np.ndarray, " F"]:
    """One camera for each different lens, and which of them took each frame."""
    lenses = scene.cameras.intrinsics[frames][:, [0, 1, 0, 1], [0, 1, 2, 2]]
    different, which = np.unique(lenses, axis=0, return_inverse=True)
    width, height = scene.size
    for k, params in enumerate(different):
        camera = pycolmap.Camera(
            camera_id=k + 1, model="PINHOLE", width=width, height=height, params=params.tolist()
        )
        model.add_camera_with_trivial_rig(camera)
    return which.reshape(-1) + 1


def _seen(
    scene: Scene, frames: Int[np.ndarray, " F"], cloud: PointCloud
) -> Bool[np.ndarray, "P F"]:
    """Which frames show each point: by the depth test, in pixels that do not move."""
    seen = np.empty((len(cloud), len(frames)), bool)
    camera_from_world = scene.cameras.camera_from_world
    for f, i in enumerate(frames.tolist()):
        uv, z = project_to(cloud.xyz, scene.cameras.intrinsics[i], camera_from_world[i])
        visible = depth_test(uv, z, scene.depth[i])
        visible[visible] = ~look_up(moving(scene, i), uv[visible])
        seen[:, f] = visible
    return seen


def _shortened(seen: Bool[np.ndarray, "P F"]) -> Bool[np.ndarray, "P F"]:
    """At most `_LONGEST_TRACK` frames of each point, spread evenly over those that show it."""
    rank = np.cumsum(seen, axis=1, dtype=np.int32)
    total = np.maximum(rank[:, -1:], _LONGEST_TRACK)
    rank *= _LONGEST_TRACK
    return seen & (rank // total != (rank - _LONGEST_TRACK) // total)


def _add_points(
    model: pycolmap.Reconstruction,
    frames: Int[np.ndarray, " F"],
    cloud: PointCloud,
    seen: Bool[np.ndarray, "P F"],
) -> None:
    """The points with their tracks. A loop over points, since the library takes one at a time."""
    point, f = np.nonzero(seen)
    # An image's keypoints stand in the order of the points, so a keypoint's place is its rank.
    by_image = np.argsort(f, kind="stable")
    place = np.empty(len(f), np.int64)
    place[by_image] = np.arange(len(f)) - np.searchsorted(f[by_image], f[by_image])
    elements = [
        pycolmap.TrackElement(image_id, k)
        for image_id, k in zip((frames[f] + 1).tolist(), place.tolist(), strict=True)
    ]
    ends = np.searchsorted(point, np.arange(len(cloud) + 1)).tolist()
    for m, xyz in enumerate(cloud.xyz.astype(np.float64)):
        track = pycolmap.Track(elements[ends[m] : ends[m + 1]])
        model.add_point3D(xyz, track, cloud.rgb[m])
