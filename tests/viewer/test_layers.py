"""What is shown, against the scene's truth."""

from dataclasses import replace

import numpy as np
import pytest

from worldline.scene import Tracks
from worldline.viewer.layers import (
    CloudCache,
    bands_of,
    choose_pixels,
    colours,
    distance_bands,
    frame_cloud,
    shown,
)
from worldline.viewer.placement import look_at, orbit, place, point_size
from worldline.viewer.state import ViewState
from worldline.viewer.trails import choose_queries, pick, source_query, trails, way_table


def test_points_of_a_frame_are_where_the_scene_has_them_at_the_target_time(scene):
    chosen = choose_pixels(scene, 2, 500)
    cloud = frame_cloud(scene, 2, 6, 500)
    np.testing.assert_allclose(cloud.xyz, scene.pointmap(2, at=6).reshape(-1, 3)[chosen], atol=1e-5)
    np.testing.assert_array_equal(cloud.rgb, scene.frames[2].reshape(-1, 3)[chosen])
    assert (cloud.source_frame == 2).all()


@pytest.mark.parametrize("show", ["each frame", "all frames", "one frame"])
@pytest.mark.parametrize("budget", [1, 37, 1000, 10**9])
def test_the_budget_is_kept(scene, show, budget):
    cloud = CloudCache(scene).cloud(ViewState(show=show, budget=budget, time=3, source=1))
    assert 0 < len(cloud) <= budget


def test_the_budget_is_used_where_depth_is_known_everywhere(scene):
    width, height = scene.size
    for budget in (100, 5000, 10_000):
        assert len(choose_pixels(scene, 0, budget)) > 0.9 * budget
    assert len(choose_pixels(scene, 0, 10**9)) == width * height


def test_the_same_points_are_shown_at_every_time(scene):
    cache, state = CloudCache(scene), ViewState(show="one frame", source=4, budget=900)
    early, late = (cache.cloud(replace(state, time=t)) for t in (0, 7))
    np.testing.assert_array_equal(early.rgb, late.rgb)
    still = early.dynamic < 0.5
    np.testing.assert_allclose(early.xyz[still], late.xyz[still], atol=1e-5)
    assert np.linalg.norm(early.xyz - late.xyz, axis=-1)[~still].max() > 0.1


def test_the_least_sure_are_hidden(scene):
    every = CloudCache(scene).cloud(ViewState(show="all frames", budget=10**9))
    half = CloudCache(scene).cloud(ViewState(show="all frames", budget=10**9, unsure=0.5))
    assert len(half) / len(every) == pytest.approx(0.5, abs=0.02)
    assert half.confidence.min() == pytest.approx(np.median(scene.confidence), rel=0.01)


def test_toggles_split_what_moves_from_what_does_not(scene):
    state = ViewState(show="all frames", budget=3000)
    cloud = CloudCache(scene).cloud(state)
    only_moving = shown(cloud, replace(state, static=False))
    np.testing.assert_array_equal(only_moving, cloud.dynamic > 0.5)
    np.testing.assert_array_equal(shown(cloud, replace(state, moving=False)), ~only_moving)
    tinted = colours(cloud, replace(state, colour="moving"), len(scene)).astype(int)
    warm = tinted[:, 0] > tinted[:, 2]
    np.testing.assert_array_equal(warm, only_moving)


def test_the_cache_is_bounded_and_forgets_the_oldest(scene):
    one = sum(a.nbytes for a in vars(frame_cloud(scene, 0, 0, 1000)).values())
    cache = CloudCache(scene, limit=3 * one)
    clouds = [cache.cloud(ViewState(time=t, budget=1000)) for t in range(len(scene))]
    assert len(cache) <= 4 and cache.held <= cache.limit
    assert cache.cloud(ViewState(time=len(scene) - 1, budget=1000)) is clouds[-1]
    assert cache.cloud(ViewState(time=0, budget=1000)) is not clouds[0]


def test_a_toggle_computes_nothing_anew(scene):
    cache = CloudCache(scene)
    cloud = cache.cloud(ViewState())
    assert cache.cloud(ViewState(static=False, colour="moving", size=3.0, trails=False)) is cloud


def test_trails_end_at_the_present(scene):
    tracks = scene.tracks(choose_queries(scene, 24))
    for time in (1, 5, 7):
        lines = trails(tracks, ViewState(time=time, trail=3))
        steps = min(time, 3)
        ends = lines.ends.reshape(len(tracks), steps, 2, 3)
        np.testing.assert_array_equal(ends[:, -1, 1], tracks.xyz[:, time])
        np.testing.assert_array_equal(ends[:, 0, 0], tracks.xyz[:, time - steps])
        assert lines.rgb.shape == lines.ends.shape
    assert len(trails(tracks, ViewState(time=0)).ends) == 0


def test_trails_follow_what_moves(scene):
    queries = choose_queries(scene, 80)
    assert 40 < len(queries) <= 80
    frame, x, y = queries.T.astype(int)
    assert (scene.dynamic[frame, y, x] > 0.5).all()


def test_a_click_finds_the_point_and_its_pixel(scene):
    cloud = frame_cloud(scene, 2, 6, 2000)
    target = int(np.flatnonzero(cloud.dynamic > 0.5)[5])
    eye = scene.cameras.world_from_camera[6, :3, 3]
    hit = pick(cloud, eye, cloud.xyz[target] - eye)
    assert hit is not None
    assert np.linalg.norm(cloud.xyz[hit] - eye) <= np.linalg.norm(cloud.xyz[target] - eye) + 1e-6
    query = source_query(scene, 2, cloud.xyz[hit], 6)
    np.testing.assert_allclose(scene.tracks(query).xyz[0, 6], cloud.xyz[hit], atol=1e-4)
    assert pick(cloud, eye, np.array([0.0, 0.0, -1.0])) is None


def test_the_table_has_a_row_for_each_frame():
    xyz = np.array([[[0, 0, 1], [3, 4, 1]]], np.float32)
    seen, uv = np.array([[True, False]]), np.zeros((1, 2, 2), np.float32)
    table = way_table(Tracks(xyz, seen, uv, np.ones((1, 2), np.float32)), "m")
    assert "| 0 | 0.000 0.000 1.000 | 0.000 |" in table
    assert "| 1 (hidden) | 3.000 4.000 1.000 | 5.000 |" in table


def test_the_view_is_level_behind_the_first_camera(scene):
    placement = place(scene)
    assert placement.eye[2] < 0 and placement.eye[1] < 0  # behind and above: y is down
    pose = look_at(placement.eye, placement.target)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert pose[1, 0] == pytest.approx(0)
    loop = orbit(placement, 12)
    np.testing.assert_allclose(loop[0], pose, atol=1e-12)
    far = np.linalg.norm(loop[:, :3, 3] - placement.target, axis=-1)
    np.testing.assert_allclose(far, far[0])


def test_fewer_points_are_drawn_larger(scene):
    placement = place(scene)
    few, many = (point_size(scene, placement, ViewState(budget=n)) for n in (100, 10_000))
    assert few == pytest.approx(10 * many)


def test_bands_go_from_near_to_far(scene):
    edges, distances = distance_bands(scene, 4)
    cloud = CloudCache(scene).cloud(ViewState(show="all frames", budget=10**9))
    band = bands_of(scene, cloud, edges)
    assert (np.bincount(band, minlength=4) > 0.1 * len(cloud)).all()
    far = np.linalg.norm(
        cloud.xyz - scene.cameras.world_from_camera[cloud.source_frame, :3, 3], axis=-1
    )
    assert all(far[band == k].max() <= far[band == k + 1].min() for k in range(3))
    assert (np.diff(distances) > 0).all() and (distances[:3] < edges).all()
    assert len(bands_of(scene, cloud[:0], edges)) == 0


def test_what_stands_still_stays_in_its_band(scene):
    edges = distance_bands(scene, 4)[0]
    cache, state = CloudCache(scene), ViewState(show="one frame", source=4, budget=900)
    early, late = (cache.cloud(replace(state, time=t)) for t in (0, 7))
    still = early.dynamic < 0.5
    bands = [bands_of(scene, cloud, edges)[still] for cloud in (early, late)]
    np.testing.assert_array_equal(*bands)


def test_a_scene_without_depth_has_bands(scene):
    blind = replace(scene, depth=np.full_like(scene.depth, np.nan))
    assert all(np.isfinite(values).all() for values in distance_bands(blind, 4))
