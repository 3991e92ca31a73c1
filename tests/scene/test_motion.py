"""Motion fields: what tracks say about the pixels around them."""

import numpy as np
import pytest
from scene_world import VELOCITY, H, N, W

from worldline.errors import InputError
from worldline.scene import MotionField, Scene, StillField, TrackField
from worldline.scene.motion import load_field

AT = np.arange(N, dtype=np.float64)


def field_of(points: list, steps: list, **changes) -> TrackField:
    """Tracks at constant pixels, each moving by its own step per frame; every pixel moves."""
    m = len(points)
    parts = {
        "uv": np.array(points, np.float32).reshape(m, 1, 2).repeat(N, axis=1),
        "xyz": np.array(steps, np.float32).reshape(m, 1, 3) * AT.astype(np.float32)[:, None],
        "visible": np.ones((m, N), bool),
        "dynamic": np.ones((N, H, W), np.float32),
    }
    return TrackField(**parts | changes)


def test_both_are_motion_fields(scene: Scene) -> None:
    assert isinstance(scene.motion, MotionField)
    assert isinstance(StillField(H, W), MotionField)


def test_stored_arrays_make_the_same_field_again(scene: Scene) -> None:
    for field in (scene.motion, StillField(H, W)):
        again = load_field(field.kind, field.arrays())
        assert type(again) is type(field)
        one, other = field.query(1, AT), again.query(1, AT)
        assert np.array_equal(one.displacement, other.displacement)
        assert np.array_equal(one.confidence, other.confidence)
    with pytest.raises(InputError, match="unheard-of"):
        load_field("unheard-of", {})


def test_no_tracks_means_no_motion_and_no_confidence() -> None:
    for field in (
        field_of([], []),
        field_of([[3, 3]], [[1, 0, 0]], visible=np.zeros((1, N), bool)),
    ):
        motion = field.query(2, AT)
        assert (motion.displacement == 0).all()
        assert (motion.confidence == 0).all()


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_any_number_of_tracks_speaks_even_from_one_spot(count: int) -> None:
    field = field_of([[9.5, 9.5]] * count, [VELOCITY] * count)
    pixels = np.array([[9.5, 9.5], [40.0, 30.0]])
    motion = field.query(1, AT, pixels)
    expected = (AT[:, None] - 1) * VELOCITY
    np.testing.assert_allclose(motion.displacement[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(motion.displacement[:, 1], expected, atol=1e-6)
    assert (motion.confidence[:, 0] > 0.99).all()
    assert (motion.confidence[:, 1] < 0.01).all()


def test_near_tracks_outweigh_far_ones() -> None:
    field = field_of([[10, 10], [30, 10]], [[1, 0, 0], [0, 1, 0]])
    left, right = field.query(0, AT[1:2], np.array([[12.0, 10.0], [28.0, 10.0]])).displacement[0]
    assert left[0] > left[1]
    assert right[1] > right[0]


def test_tracks_do_not_speak_across_a_depth_edge() -> None:
    depth = np.full((N, H, W), 2.0, np.float32)
    depth[:, :, 20:] = 4.0
    edge = {"points": [[17, 10], [22, 10]], "steps": [[1, 0, 0], [0, 1, 0]]}
    pixel = np.array([[20.5, 10.0]])
    with_depth = field_of(**edge, depth=depth).query(0, AT[1:2], pixel).displacement[0, 0]
    without = field_of(**edge).query(0, AT[1:2], pixel).displacement[0, 0]
    np.testing.assert_allclose(with_depth, (0, 1, 0), atol=1e-6)
    assert without[0] > 0.05
    depth[:, :, 20] = np.nan  # unknown depth leaves the choice to the image
    unknown = field_of(**edge, depth=depth).query(0, AT[1:2], pixel).displacement[0, 0]
    np.testing.assert_allclose(unknown, without, atol=1e-6)


def test_confidence_falls_where_the_tracks_are_lost() -> None:
    visible = np.ones((2, N), bool)
    visible[:, 3] = False
    visible[0, 4] = False
    field = field_of([[10, 10], [10, 10]], [VELOCITY] * 2, visible=visible)
    confidence = field.query(0, np.array([0, 2, 2.5, 3, 4]), np.array([[10.0, 10.0]])).confidence
    np.testing.assert_allclose(confidence[:, 0], (1, 1, 0.5, 0, 0.5), atol=1e-6)


def test_only_moving_pixels_move() -> None:
    dynamic = np.zeros((N, H, W), np.float32)
    dynamic[:, :, :10] = 1.0
    field = field_of([[5, 5]], [[1, 0, 0]], dynamic=dynamic)
    motion = field.query(0, AT[3:4])
    np.testing.assert_allclose(motion.displacement[0, :, :10, 0], 3)
    assert (motion.displacement[0, :, 10:] == 0).all()
    assert (motion.confidence[0, :, 10:] == 1).all()


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    "changes",
    [
        {"uv": np.zeros((1, N, 3), np.float32)},
        {"visible": np.ones((2, N), bool)},
        {"dynamic": np.zeros((N + 1, H, W), np.float32)},
        {"depth": np.zeros((N, H, W + 1), np.float32)},
        {"xyz": np.full((1, N, 3), np.nan, np.float32)},
    ],
)
def test_tracks_that_disagree_are_refused(changes: dict) -> None:
    with pytest.raises(InputError):
        field_of([[5, 5]], [[1, 0, 0]], **changes)
