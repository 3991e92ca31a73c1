"""A scene as a USD stage with time samples, for Blender, Houdini, Nuke, Maya and Omniverse."""

import errno
import os
import re
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32, UInt8
from pxr import Gf, Tf, Usd, UsdGeom, Vt

from worldline.errors import InputError
from worldline.io.exports.clouds import (
    MOVES,
    MovingPoints,
    clip_planes,
    frame_rate,
    linear_colours,
    sample_tracks,
    split_points,
)
from worldline.io.exports.registry import Choices
from worldline.io.exports.y_up import points_y_up, poses_y_up
from worldline.scene import PointCloud, Scene, Tracks
from worldline.scene.store import atomic_file

_ENDINGS = (".usdc", ".usda", ".usd")
_APERTURE = 0.36  # of a 36 mm wide sensor, in tenths of a unit, as USD has its lenses


def export_usd(scene: Scene, path: Path, choices: Choices) -> None:
    """Write the camera, still points, moving points and tracks with time samples.

    World and camera axes are USD's: y up, -z forward. Lengths are scene units, of which a stage
    unit is one; `metersPerUnit` is 1 and true only if customLayerData's `metric` is. A frame's
    time code is its seconds times the clip's frame rate. The camera's apertures and their
    offsets hold the whole pinhole camera, lens distortion undone. Text for a path that ends in
    .usda, else binary.

    Raises InputError for another ending, StorageError when the disk refuses.
    """
    if path.suffix not in _ENDINGS:
        raise InputError(f"{path.name} does not end as USD does: {', '.join(_ENDINGS)}")
    rate = frame_rate(scene.times)
    codes = (scene.times * float(rate)).tolist()
    stage = _stage(scene, codes, float(rate))
    _add_camera(stage, scene, codes)
    still, moving = split_points(scene, choices)
    _add_still(stage, still, _footprints(scene, still.xyz, still.source_frame))
    _add_moving(stage, scene, moving, codes)
    _add_tracks(stage, scene, sample_tracks(scene, choices), codes)
    _write(stage, path)


def _stage(scene: Scene, codes: list[float], rate: float) -> Usd.Stage:
    stage = Usd.Stage.CreateInMemory()
    stage.SetTimeCodesPerSecond(rate)
    stage.SetFramesPerSecond(rate)
    stage.SetStartTimeCode(codes[0])
    stage.SetEndTimeCode(codes[-1])
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.GetRootLayer().customLayerData = {"metric": scene.metric}
    stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/scene").GetPrim())
    return stage


def _add_camera(stage: Usd.Stage, scene: Scene, codes: list[float]) -> None:
    camera = UsdGeom.Camera.Define(stage, "/scene/camera")
    place = camera.AddTransformOp()
    # USD multiplies rows from the left, so its matrices are the transposes of ours.
    for code, pose in zip(codes, poses_y_up(scene.cameras.world_from_camera).mT, strict=True):
        place.Set(Gf.Matrix4d(pose.tolist()), code)
    camera.CreateClippingRangeAttr(Gf.Vec2f(clip_planes(scene)))
    (width, height), intrinsics = scene.size, scene.cameras.intrinsics
    fx, fy = intrinsics[:, 0, 0], intrinsics[:, 1, 1]
    across, down = _APERTURE / width, _APERTURE / width * fx / fy  # size of a pixel
    samples = (
        (camera.CreateFocalLengthAttr(), fx * across),
        (camera.CreateHorizontalApertureAttr(), np.full(len(scene), _APERTURE)),
        (camera.CreateVerticalApertureAttr(), height * down),
        (camera.CreateHorizontalApertureOffsetAttr(), (width / 2 - intrinsics[:, 0, 2]) * across),
        (camera.CreateVerticalApertureOffsetAttr(), (intrinsics[:, 1, 2] - height / 2) * down),
    )
    for attribute, values in samples:
        for code, value in zip(codes, values.tolist(), strict=True):
            attribute.Set(value, code)


def _add_still(stage: Usd.Stage, cloud: PointCloud, widths: Float32[np.ndarray, " P"]) -> None:
    if len(cloud):
        _set_points(_define_points(stage, "points"), cloud.xyz, cloud.rgb, widths)


def _add_moving(stage: Usd.Stage, scene: Scene, moving: MovingPoints, codes: list[float]) -> None:
    """One cloud whose points are other ones in each frame."""
    if not len(moving):
        return
    points = _define_points(stage, "moving")
    for j, (code, xyz, rgb) in enumerate(zip(codes, moving.xyz, moving.rgb, strict=True)):
        widths = _footprints(scene, xyz, np.full(len(xyz), j, np.int32))
        # Each stands for several pixels where there are more of them than points.
        sparser = max(1.0, float((scene.dynamic[j] > MOVES).sum()) / max(1, len(xyz)))
        _set_points(points, xyz, rgb, widths * np.float32(np.sqrt(sparser)), code)


def _define_points(stage: Usd.Stage, name: str) -> UsdGeom.Points:
    points = UsdGeom.Points.Define(stage, f"/scene/{name}")
    points.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
    points.SetWidthsInterpolation(UsdGeom.Tokens.vertex)
    return points


def _set_points(
    points: UsdGeom.Points,
    xyz: Float32[np.ndarray, "P 3"],
    rgb: UInt8[np.ndarray, "P 3"],
    widths: Float32[np.ndarray, " P"],
    code: float | None = None,
) -> None:
    when = Usd.TimeCode.Default() if code is None else Usd.TimeCode(code)
    places = Vt.Vec3fArray.FromNumpy(points_y_up(xyz))
    points.CreatePointsAttr().Set(places, when)
    points.CreateWidthsAttr().Set(Vt.FloatArray.FromNumpy(widths), when)
    points.GetDisplayColorAttr().Set(Vt.Vec3fArray.FromNumpy(linear_colours(rgb)), when)
    points.CreateExtentAttr().Set(UsdGeom.Points.ComputeExtent(places, widths.tolist()), when)


def _footprints(
    scene: Scene, xyz: Float32[np.ndarray, "P 3"], frame: Int32[np.ndarray, " P"]
) -> Float32[np.ndarray, " P"]:
    """The side of what two pixels of `frame` see at each point, in scene units."""
    cameras = scene.cameras
    distance = np.linalg.norm(xyz - cameras.world_from_camera[frame, :3, 3], axis=-1)
    # Two, since fewer points are drawn than there are pixels, and they are round.
    return (2 * distance / cameras.intrinsics[frame, 0, 0]).astype(np.float32)


def _add_tracks(stage: Usd.Stage, scene: Scene, tracks: Tracks, codes: list[float]) -> None:
    """Each track as an empty that moves, and all their trails as curves."""
    if len(tracks) == 0:
        return
    xyz, first = points_y_up(tracks.xyz), np.zeros(len(tracks), np.int32)
    UsdGeom.Xform.Define(stage, "/scene/tracks")
    for m, path in enumerate(xyz.tolist()):
        empty = UsdGeom.Xform.Define(stage, f"/scene/tracks/track_{m:03d}")
        place = empty.AddTranslateOp()
        for code, point in zip(codes, path, strict=True):
            place.Set(Gf.Vec3d(point), code)
    if len(codes) > 1:
        _add_trails(stage, xyz, float(np.median(_footprints(scene, tracks.xyz[:, 0], first))))


def _add_trails(stage: Usd.Stage, xyz: Float32[np.ndarray, "M N 3"], width: float) -> None:
    trails = UsdGeom.BasisCurves.Define(stage, "/scene/trails")
    trails.CreateTypeAttr(UsdGeom.Tokens.linear)
    trails.CreateCurveVertexCountsAttr([xyz.shape[1]] * len(xyz))
    trails.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(xyz.reshape(-1, 3))))
    trails.CreateWidthsAttr([width])
    trails.SetWidthsInterpolation(UsdGeom.Tokens.constant)


def _write(stage: Usd.Stage, path: Path) -> None:
    """Write the stage whole or not at all. USD takes the format from a name's true ending."""
    with (
        atomic_file(path) as partial,
        tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=f".{path.name}.") as folder,
    ):
        written = Path(folder) / path.name
        try:
            done = stage.GetRootLayer().Export(str(written))
        except Tf.ErrorException as error:
            raise _refusal(str(error)) from error
        if not done:
            raise _refusal("")
        written.replace(partial)


def _refusal(told: str) -> OSError:
    """The disk's reason, without the source files and lines of the library that told it."""
    found = re.search(r"Error occurred writing file: ([^'\n]+)", told)
    reason = found[1] if found else "the disk refuses"
    codes = {os.strerror(code): code for code in errno.errorcode}
    return OSError(codes.get(reason, errno.EIO), reason)
