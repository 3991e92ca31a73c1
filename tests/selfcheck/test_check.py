"""The self-check: its residuals are right, and each doubt is raised where it should be, alone."""

from dataclasses import replace

import numpy as np
import pytest
from wall_world import (
    DISTANCE,
    FOCAL,
    STEP,
    N,
    W,
    brighter_from_the_fifth,
    wall,
    wrong_cameras,
)

from worldline.selfcheck import check_scene
from worldline.selfcheck.residuals import pairs_of


def test_a_good_scene_raises_nothing(good):
    check = check_scene(good)
    assert check.findings == () and check.verdict.startswith("Yes")


def test_each_doubt_is_raised_alone(doubtful):
    name, scene = doubtful
    check = check_scene(scene)
    assert [finding.name for finding in check.findings] == [name]
    assert not check.verdict.startswith("Yes")
    finding = check.findings[0]
    assert finding.what.endswith(".") and finding.so.endswith(".") and finding.doubts
    assert finding.grave == check.verdict.startswith("No") == (name == "flow")


def test_nothing_known_of_the_focal_length_is_a_guess_too():
    assert [finding.name for finding in check_scene(wall(sigma=np.nan)).findings] == ["focal"]


def test_the_verdict_names_what_to_doubt(good):
    cameras = replace(good.cameras, focal_sigma=np.full(N, 60.0), registered=np.arange(N) != 4)
    check = check_scene(replace(good, cameras=cameras))
    assert {finding.name for finding in check.findings} == {"focal", "unregistered"}
    assert "the cameras of the unregistered frames and the focal length" in check.verdict
    assert "frame 4." in check.findings[0].what


def test_numbers_are_those_of_the_input(good):
    numbers = check_scene(good).numbers
    assert numbers.focal == 2 * FOCAL and numbers.focal_sigma == 4.0  # the input is twice as large
    assert numbers.field_of_view == pytest.approx(2 * np.degrees(np.arctan(W / 2 / FOCAL)))
    assert (numbers.measured, numbers.filled, numbers.measured_static) == (1.0, 0.0, 1.0)
    assert numbers.moving.max() == 0 and numbers.turn == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(numbers.exposure, 1.0, atol=0.05)


def test_the_flow_residual_is_how_far_cameras_are_wrong():
    residuals = check_scene(wrong_cameras()).numbers.flow.pixels
    np.testing.assert_allclose(residuals, 2 * 1.5 * STEP, atol=0.5)


def test_one_wrong_camera_is_placed_and_spares_the_rest(good):
    poses = good.cameras.world_from_camera.copy()
    poses[6, 1, 3] += 0.3
    poses[7:, 1, 3] += 0.1
    check = check_scene(replace(good, cameras=replace(good.cameras, world_from_camera=poses)))
    (finding,) = check.findings
    assert finding.name == "flow" and not finding.grave
    assert "in 2 of 11 steps, most of all at frame 5 (0.50 s)" in finding.what
    assert "the cameras at some steps" in check.verdict


def test_movers_do_not_count_in_residuals(good):
    moving = np.zeros_like(good.dynamic)
    moving[:, :, : W // 2] = 1.0
    depth = np.where(moving > 0, 1.0, good.depth).astype(np.float32)  # nonsense where they are
    numbers = check_scene(replace(good, dynamic=moving, depth=depth)).numbers
    assert numbers.flow.median < 0.3 and numbers.reprojection.median < 0.01


def test_the_reprojection_residual_is_how_depths_disagree(good):
    assert check_scene(good).numbers.reprojection.median == pytest.approx(0, abs=1e-3)
    depth = good.depth.copy()
    depth[1::2] *= 0.8  # each second frame's wall stands nearer
    residuals = check_scene(replace(good, depth=depth)).numbers.reprojection.pixels
    step = FOCAL * good.cameras.world_from_camera[1, 0, 3]  # px at distance 1
    error = 2 * step * (1 / (0.8 * DISTANCE) - 1 / DISTANCE)
    np.testing.assert_allclose(residuals, error, rtol=0.02)


def test_a_jump_of_the_exposure_is_placed():
    finding = check_scene(brighter_from_the_fifth()).findings[0]
    assert "brighter at frame 5 (0.50 s)" in finding.what


@pytest.mark.parametrize("count", [1, 2, 7, 31, 32, 500])
def test_pairs_are_few_and_span_the_clip(count):
    pairs = pairs_of(count)
    assert len(pairs) == min(count - 1, 30) and len(np.unique(pairs[:, 0])) == len(pairs)
    if count > 1:
        assert pairs[0].tolist() == [0, 1] and pairs[-1, 1] == count - 1
