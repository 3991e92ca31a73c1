"""A USD stage has the scene's cameras, points and tracks where USD's own classes look for them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from moving_scene import H, W, make_scene

from worldline.errors import InputError
from worldline.scene import Scene

pytest.importorskip("pxr")
from pxr import Usd, UsdGeom


def codes_of(stage: Usd.Stage, scene: Scene) -> list[float]:
    return [float(t * stage.GetTimeCodesPerSecond()) for t in scene.times]


def seen_by_usd(stage: Usd.Stage, code: float, points: np.ndarray) -> np.ndarray:
    """Pixels of stage points by USD's own camera: its frustum takes the window to -1..1."""
    frustum = UsdGeom.Camera.Get(stage, "/scene/camera").GetCamera(code).frustum
    clip = np.array(frustum.ComputeViewMatrix() * frustum.ComputeProjectionMatrix())
    window = np.column_stack([points, np.ones(len(points))]) @ clip
    right, up = (window[:, :2] / window[:, 3:]).T
    return np.stack([(1 + right) * W / 2, (1 - up) * H / 2], axis=-1)


def pinhole(stage: Usd.Stage, code: float) -> np.ndarray:
    """The intrinsics that the camera's attributes stand for, in working pixels."""
    camera = UsdGeom.Camera.Get(stage, "/scene/camera").GetCamera(code)
    fx = camera.focalLength / camera.horizontalAperture * W
    fy = camera.focalLength / camera.verticalAperture * H
    cx = W / 2 - camera.horizontalApertureOffset / camera.horizontalAperture * W
    cy = H / 2 + camera.verticalApertureOffset / camera.verticalAperture * H
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def matrix(prim: UsdGeom.Imageable, code: float) -> np.ndarray:
    return np.array(prim.ComputeLocalToWorldTransform(code)).T


def test_camera_sees_known_points_at_their_pixels(tmp_path: Path) -> None:
    """Protects axes, poses, focal lengths, principal point and the half-pixel convention."""
    scene = make_scene()
    stage = Usd.Stage.Open(str(scene.export(tmp_path / "scene.usdc")))
    flip = np.diag([1.0, -1.0, -1.0, 1.0])
    pixels = np.array([[0.5, 0.5], [47.5, 0.5], [10.5, 30.5]])
    for i, code in enumerate(codes_of(stage, scene)):
        world = scene.pointmap(i, pixels=pixels).astype(np.float64)
        assert np.abs(seen_by_usd(stage, code, world * (1, -1, -1)) - pixels).max() < 1e-3
        pose = flip @ matrix(UsdGeom.Camera.Get(stage, "/scene/camera"), code) @ flip
        assert np.abs(pose - scene.cameras.world_from_camera[i]).max() < 1e-9
        assert np.abs(pinhole(stage, code) - scene.cameras.intrinsics[i]).max() < 1e-5


def test_clip_s_times_and_axes_are_the_stage_s(tmp_path: Path) -> None:
    scene = replace(make_scene(), metric=True)
    stage = Usd.Stage.Open(str(scene.export(tmp_path / "scene.usdc")))
    assert stage.GetTimeCodesPerSecond() == 10
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == pytest.approx((5, 9))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert stage.GetRootLayer().customLayerData["metric"] is True
    near, far = UsdGeom.Camera.Get(stage, "/scene/camera").GetClippingRangeAttr().Get()
    assert near < scene.depth.min() / 10 and far > scene.depth.max() * 10
    samples = UsdGeom.Camera.Get(stage, "/scene/camera").GetFocalLengthAttr().GetTimeSamples()
    assert samples == pytest.approx((scene.times * 10).tolist())


def test_points_and_tracks_are_the_scene_s(tmp_path: Path) -> None:
    """Protects positions, which points show when, and that tracks move as the world does."""
    scene = make_scene()
    stage = Usd.Stage.Open(str(scene.export(tmp_path / "scene.usdc")))
    still, moving = (UsdGeom.Points.Get(stage, f"/scene/{name}") for name in ("points", "moving"))
    cloud = scene.complete(0)
    xyz = np.array(still.GetPointsAttr().Get())
    assert np.abs(xyz * (1, -1, -1) - cloud.xyz[cloud.dynamic <= 0.5]).max() < 1e-4
    assert len(still.GetDisplayColorAttr().Get()) == len(still.GetWidthsAttr().Get()) == len(xyz)
    empties = list(stage.GetPrimAtPath("/scene/tracks").GetChildren())
    trails = UsdGeom.BasisCurves.Get(stage, "/scene/trails")
    paths = np.array(trails.GetPointsAttr().Get()).reshape(len(empties), len(scene), 3)
    (width,) = trails.GetWidthsAttr().Get()  # of two pixels; without it, programs draw pipes
    assert 1 < width / (2.0 / 50) < 4
    for j, code in enumerate(codes_of(stage, scene)):
        xyz = np.array(moving.GetPointsAttr().Get(code)) * (1, -1, -1)
        own = scene.pointmap(j)[scene.dynamic[j] > 0.5]
        assert np.abs(xyz[:, None] - own).max(-1).min(0).max() < 1e-4
        place = matrix(UsdGeom.Xformable(empties[0]), code)[:3, 3]
        assert np.abs(place - paths[0, j]).max() < 1e-5
    assert np.allclose(np.diff(paths, axis=1), (0.06, 0.03, -0.02), atol=1e-3)


def test_path_s_ending_picks_text_or_binary(tmp_path: Path) -> None:
    scene = make_scene(2)
    assert scene.export(tmp_path / "a.usda").read_bytes().startswith(b"#usda")
    assert scene.export(tmp_path / "a.usdc").read_bytes().startswith(b"PXR-USDC")
    assert Usd.Stage.Open(str(scene.export(tmp_path / "a.usd"))).GetDefaultPrim().GetName()
    with pytest.raises(InputError, match="does not end as USD does"):
        scene.export(tmp_path / "a.abc", "usd")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.usd", "a.usda", "a.usdc"]


@pytest.mark.parametrize("case", ["one frame", "nothing moves", "holes", "nothing left"])
def test_poor_scenes_are_written_too(tmp_path: Path, case: str) -> None:
    scene = make_scene(1 if case == "one frame" else 3, moves=case != "nothing moves")
    if case == "holes":
        scene = replace(scene, depth=np.where(scene.dynamic > 0.5, np.nan, scene.depth))
    least = 9.0 if case == "nothing left" else None
    stage = Usd.Stage.Open(str(scene.export(tmp_path / "a.usdc", min_confidence=least)))
    names = {prim.GetName() for prim in stage.GetPrimAtPath("/scene").GetChildren()}
    expected = {
        "one frame": {"camera", "points", "moving", "tracks"},
        "nothing moves": {"camera", "points"},
        "holes": {"camera", "points"},
        "nothing left": {"camera"},
    }
    assert names == expected[case]
