"""Camera models of pairs: the right kind, the right verdict on who moves."""

from dataclasses import replace

import numpy as np
import pytest
from small_worlds import lenses, rig

from worldline.systems.classic.pairs import (
    PairModel,
    fit_pair,
    known_cameras,
    neighbours,
    pack,
    unpack,
    vote_mobility,
)
from worldline.systems.classic.tracks import PixelTracks


def as_tracks(made, uv=None):
    count = len(made.uv)
    return PixelTracks(
        made.uv if uv is None else uv.astype(np.float32),
        made.visible,
        made.visible.astype(np.float32),
        np.full(count, 0.5, np.float32),
        np.full(count, 100.0, np.float32),
        np.zeros(count, bool),
    )


def pair(made, i, j):
    both = made.visible[:, i] & made.visible[:, j]
    return both, fit_pair(i, j, made.uv[both, i], made.uv[both, j])


def with_movers(made, share=0.2, speed=2.5, seed=1):
    """Tracks of which some go up the picture, which no epipolar line of a sideways camera does."""
    moving = np.random.default_rng(seed).random(len(made.uv)) < share
    uv = made.uv.copy()
    uv[moving, :, 1] -= speed * np.arange(uv.shape[1])
    return moving, as_tracks(made, uv)


def test_a_turning_camera_is_a_homography():
    made = rig("rotation")
    both, model = pair(made, 0, 4)
    assert model.planar and model.noise < 0.05
    assert model.error(made.exact[both, 0], made.exact[both, 4]).max() < 0.1


def test_parallax_asks_for_a_fundamental_matrix():
    made = rig("free")
    both, model = pair(made, 0, 6)
    assert not model.planar and model.noise < 0.1
    assert np.median(model.error(made.exact[both, 0], made.exact[both, 6])) < 0.05


def test_too_few_correspondences_make_no_model():
    made = rig("free", points=60)
    assert fit_pair(0, 1, made.uv[:23, 0], made.uv[:23, 1]) is None


def test_movers_do_not_bend_the_model():
    made = rig("sideways")
    moving, tracks = with_movers(made, share=0.3)
    both = made.visible[:, 0] & made.visible[:, 6]
    model = fit_pair(0, 6, tracks.uv[both, 0], tracks.uv[both, 6])
    error = model.error(tracks.uv[both, 0], tracks.uv[both, 6])
    assert (error[moving[both]] > model.threshold).mean() > 0.9
    assert (error[~moving[both]] > model.threshold).mean() < 0.02


@pytest.mark.parametrize("kind", ["sideways", "free", "rotation"])
def test_movers_are_voted_moving_and_the_rest_static(kind):
    made = rig(kind, points=200, count=9)
    moving, tracks = with_movers(made)
    voted, models = vote_mobility(tracks, (640, 384))
    judged = made.visible.sum(axis=1) >= 6
    assert (voted.mobility[moving & judged] > 0.5).mean() > 0.9
    assert (voted.mobility[~moving & judged] > 0.5).mean() < 0.03
    assert {(m.target - m.source) for m in models} == {1, 2, 4, 8}


@pytest.mark.parametrize("kind", ["still", "rotation", "free"])
def test_in_a_static_clip_hardly_anything_moves(kind):
    """The threshold is absolute: the largest errors of pure noise are no movers."""
    made = rig(kind, points=200, count=9, noise=0.3)
    voted, _ = vote_mobility(as_tracks(made), made.size)
    assert (voted.mobility > 0.5).mean() < 0.02


def test_plain_tracks_may_stray_farther_before_they_count_as_moving():
    made = rig("sideways", points=200, count=9)
    moving, tracks = with_movers(made, speed=1.0)
    sharp, _ = vote_mobility(tracks, (640, 384))
    plain, _ = vote_mobility(
        replace(tracks, texture=np.full(len(tracks), 0.02, np.float32)), (640, 384)
    )
    assert sharp.mobility[moving].mean() > 2 * plain.mobility[moving].mean()


def test_tracks_seen_in_no_pair_keep_no_opinion():
    made = rig("free", points=100)
    visible = made.visible.copy()
    visible[0] = False
    visible[0, 3] = True
    voted, _ = vote_mobility(replace(as_tracks(made), visible=visible), made.size)
    assert voted.mobility[0] == 0.5


def test_solved_cameras_take_over_and_leave_movers_nothing_to_bend():
    made = rig("free")
    moving, tracks = with_movers(made)
    bent = PairModel(0, 6, np.array([[0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]), False, 40.0)
    (known,) = known_cameras([bent], tracks, ~moving, lenses(made), made.world_from_camera)
    both = made.visible[:, 0] & made.visible[:, 6]
    assert not known.planar and known.noise < 0.1
    assert known.error(made.exact[both, 0], made.exact[both, 6]).max() < 1e-3


def test_solved_cameras_that_explain_a_pair_badly_are_not_believed():
    made = rig("free")
    _, model = pair(made, 0, 6)
    wrong = made.world_from_camera.copy()
    wrong[6, :3, 3] = [0, 3, 0]
    static = np.ones(len(made.uv), bool)
    (kept,) = known_cameras([model], as_tracks(made), static, lenses(made), wrong)
    assert kept is model


def test_a_turn_known_from_the_cameras_is_a_homography():
    made = rig("rotation")
    _, model = pair(made, 0, 6)
    static = np.ones(len(made.uv), bool)
    (known,) = known_cameras([model], as_tracks(made), static, lenses(made), made.world_from_camera)
    both = made.visible[:, 0] & made.visible[:, 6]
    assert known.planar
    assert known.error(made.exact[both, 0], made.exact[both, 6]).max() < 1e-3


def test_normals_stand_across_the_epipolar_lines_in_either_picture():
    made = rig("free")
    both, model = pair(made, 0, 6)
    a, b = made.exact[both, 0], made.exact[both, 6]
    for uv, other, forward in ((a, b, True), (b, a, False)):
        normal = model.normal(uv, in_target=forward)
        assert np.linalg.norm(normal, axis=-1) == pytest.approx(1.0, abs=1e-4)
        along = other + 5.0 * np.stack([-normal[:, 1], normal[:, 0]], axis=-1)
        across = other + 5.0 * normal
        first, second = ((uv, along), (uv, across)) if forward else ((along, uv), (across, uv))
        assert np.median(model.error(*first)) < 0.1
        assert np.median(model.error(*second)) > 5.0


def test_the_noise_of_a_model_is_that_of_its_errors():
    generator = np.random.default_rng(0)
    plain = PairModel(0, 1, np.eye(3), True, 1.0)
    two = (0.5 * generator.normal(size=(20000, 2)) ** 2).sum(axis=1).astype(np.float32)
    assert plain.calibrated(two).noise == pytest.approx(0.5, rel=0.05)
    one = (0.5 * generator.normal(size=20000) ** 2).astype(np.float32)
    assert replace(plain, planar=False).calibrated(one).noise == pytest.approx(0.5, rel=0.05)


def test_the_threshold_never_falls_below_what_flow_can_tell():
    assert PairModel(0, 1, np.eye(3), False, 0.0).threshold == pytest.approx(12 * 0.12)


def test_neighbours_are_the_strides_within_the_clip():
    assert sorted(neighbours(2, 8)) == [0, 1, 3, 4, 6]
    assert neighbours(0, 1) == []


@pytest.mark.parametrize("count", [0, 3])
def test_models_survive_being_packed(count):
    made = rig("free")
    models = [pair(made, 0, j)[1] for j in range(1, count + 1)]
    back = unpack(pack(models))
    assert len(back) == count
    for one, other in zip(models, back, strict=True):
        assert np.array_equal(one.matrix, other.matrix)
        names = ("source", "target", "planar", "noise")
        assert [getattr(one, n) for n in names] == [getattr(other, n) for n in names]
