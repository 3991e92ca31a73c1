"""Laws that every scene obeys."""

from dataclasses import replace

import numpy as np
import pytest
from scene_world import VELOCITY, H, K, N, W

from worldline.errors import InputError
from worldline.scene import Cameras, Gathering, Motion, Scene, StillField, View


def test_a_point_has_not_moved_at_its_own_time(scene: Scene) -> None:
    for i in range(N):
        assert (scene.displacement(i, at=i) == 0).all()
        assert np.array_equal(scene.pointmap(i, at=i), scene.pointmap(i))


def test_pointmap_is_base_plus_displacement(scene: Scene) -> None:
    assert np.array_equal(scene.pointmap(1, at=3), scene.pointmap(1) + scene.displacement(1, at=3))


def test_chosen_pixels_equal_the_dense_map_there(scene: Scene) -> None:
    rng = np.random.default_rng(3)
    column, row = rng.integers(0, W, 200), rng.integers(0, H, 200)
    pixels = np.stack([column, row], axis=-1) + 0.5
    for i, at in ((0, 4), (2, 1), (3, 0.13)):
        dense, sparse = scene.query(i, at), scene.query(i, at, pixels)
        assert np.array_equal(sparse.displacement, dense.displacement[row, column])
        assert np.array_equal(sparse.confidence, dense.confidence[row, column])
        assert np.array_equal(sparse.visible, dense.visible[row, column])
        assert np.array_equal(scene.pointmap(i, at, pixels), scene.pointmap(i, at)[row, column])


def test_several_times_equal_one_after_the_other(scene: Scene) -> None:
    times = [0, 0.05, -1, 2]
    together = scene.query(1, times)
    assert together.displacement.shape == (4, H, W, 3)
    for t, at in enumerate(times):
        alone = scene.query(1, at)
        assert np.array_equal(together.displacement[t], alone.displacement)
        assert np.array_equal(together.confidence[t], alone.confidence)
        assert np.array_equal(together.visible[t], alone.visible)
        assert np.array_equal(scene.pointmap(1, times)[t], scene.pointmap(1, at))
    assert scene.query(1, []).visible.shape == (0, H, W)


def test_seconds_are_interpolated_between_frames(scene: Scene) -> None:
    # Frames 2 and 3 are 0.2 s apart, so 0.25 s is a quarter of the way.
    expected = 0.75 * scene.displacement(0, at=2) + 0.25 * scene.displacement(0, at=3)
    np.testing.assert_allclose(scene.displacement(0, at=0.25), expected, atol=1e-6)
    assert np.array_equal(scene.displacement(0, at=0.4), scene.displacement(0, at=3))


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize("at", [N, -N - 1, 0.56, -0.06, True, "1", None, [0, None], [[0]], np.nan])
def test_times_outside_the_clip_are_refused(scene: Scene, at: object) -> None:
    with pytest.raises(InputError):
        scene.displacement(0, at)


def test_half_a_frame_beyond_the_ends_still_counts(scene: Scene) -> None:
    assert np.array_equal(scene.displacement(0, at=0.54), scene.displacement(0, at=4))
    assert np.array_equal(scene.displacement(0, at=-0.04), scene.displacement(0, at=0))


def test_indices_count_from_the_end(scene: Scene) -> None:
    assert np.array_equal(scene.pointmap(-1), scene.pointmap(N - 1))
    with pytest.raises(InputError, match="5 frames"):
        scene.pointmap(N)


def test_pixel_centres_lie_at_one_half(scene: Scene) -> None:
    point = scene.pointmap(0)[7, 11].astype(np.float64)
    uv = (K @ (point / point[2]))[:2]
    np.testing.assert_allclose(uv, (11.5, 7.5), atol=1e-5)
    # The optical centre of this camera is the corner between four pixels, not a pixel's centre.
    on_axis = scene.pointmap(0, pixels=np.array([[24.0, 18.0]]))[0]
    assert (on_axis[:2] == 0).all()


def test_pixels_outside_the_frame_are_refused(scene: Scene) -> None:
    scene.pointmap(0, pixels=np.array([[W, H]]))
    for bad in ([[-0.1, 3.0]], [[3.0, H + 0.1]], [[np.nan, 3.0]]):
        with pytest.raises(InputError, match="outside"):
            scene.pointmap(0, pixels=np.array(bad))


def test_the_rigid_mover_moves_exactly(scene: Scene) -> None:
    moving = scene.dynamic[1] > 0.5
    assert 0 < moving.sum() < moving.size
    motion = scene.query(1, at=4)
    np.testing.assert_allclose(
        motion.displacement[moving], np.tile(3 * VELOCITY, (moving.sum(), 1)), atol=1e-6
    )
    assert (motion.displacement[~moving] == 0).all()
    assert (motion.confidence[~moving] == 1).all()
    assert (motion.confidence[moving] > 0.5).all()


def test_tracks_follow_and_know_when_they_are_hidden(scene: Scene) -> None:
    # A wall point just right of the square: the square slides over it.
    row = 18
    edge = np.flatnonzero(scene.dynamic[0, row])[-1] + 1
    queries = np.array([[0, edge + 0.5, row + 0.5], [0, 21.5, 18.5], [2, 40.0, 30.0]])
    tracks = scene.tracks(queries)
    assert tracks.xyz.shape == (3, N, 3)
    assert tracks.visible[0, 0]
    assert not tracks.visible[0, 4]
    assert tracks.visible[1].all()
    for m, (i, *xy) in enumerate(queries):
        np.testing.assert_allclose(tracks.uv[m, int(i)], xy, atol=1e-4)
        pixel = np.array([xy])
        assert np.array_equal(tracks.xyz[m], scene.pointmap(int(i), range(N), pixel)[:, 0])
        assert np.array_equal(tracks.visible[m], scene.query(int(i), range(N), pixel).visible[:, 0])
    assert len(scene.tracks(np.empty((0, 3)))) == 0


def test_a_fields_own_opinion_hides_a_track(scene: Scene) -> None:
    class Blindfold(StillField):
        def query(self, source, at, pixels=None):
            motion = super().query(source, at, pixels)
            never = np.zeros(motion.confidence.shape, bool)
            return Motion(motion.displacement, motion.confidence, never)

    blind = replace(scene, motion=Blindfold(H, W))
    assert not blind.tracks(np.array([[0, 3.0, 3.0]])).visible.any()
    assert not blind.query(0, 0).visible.any()


def test_points_behind_a_camera_have_no_pixel(scene: Scene) -> None:
    poses = scene.cameras.world_from_camera.copy()
    poses[1, :3, :3] = np.diag([-1.0, 1.0, -1.0])
    cameras = replace(scene.cameras, world_from_camera=poses)
    tracks = replace(scene, cameras=cameras).tracks(np.array([[0, 3.0, 3.0]]))
    assert np.isnan(tracks.uv[0, 1]).all()
    assert not tracks.visible[0, 1]


def test_complete_gathers_every_known_pixel(scene: Scene) -> None:
    depth = scene.depth.copy()
    depth[1] = np.nan
    cloud = replace(scene, depth=depth).complete(at=3)
    assert len(cloud) == (N - 1) * H * W
    from_two = cloud[cloud.source_frame == 2]
    assert np.array_equal(from_two.xyz, scene.pointmap(2, at=3).reshape(-1, 3))
    assert np.array_equal(from_two.rgb, scene.frames[2].reshape(-1, 3))
    assert np.array_equal(from_two.dynamic, scene.dynamic[2].reshape(-1))
    assert not (cloud.source_frame == 1).any()


def test_complete_draws_evenly_and_repeatably(scene: Scene) -> None:
    depth = scene.depth.copy()
    depth[1, 1:] = np.nan  # leaves W pixels, fewer than its share
    cut = replace(scene, depth=depth)
    clouds = [cut.complete(2, 1000, seed=seed) for seed in (0, 0, 1)]
    assert np.bincount(clouds[0].source_frame).tolist() == [238, W, 238, 238, 238]
    assert np.array_equal(clouds[0].xyz, clouds[1].xyz)
    assert not np.array_equal(clouds[0].xyz, clouds[2].xyz)
    assert len(cut.complete(2, 0)) == 0
    assert len(scene.complete(2, min_confidence=2.5)) == 0


@pytest.mark.parametrize("at_once", [1, 2500, 10**6])
def test_a_gathering_has_the_same_points_at_every_time(
    scene: Scene, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worldline.scene.gathering._AT_ONCE", at_once)
    positions = np.array([0.0, 3.0, 1.5, 4.0])
    clouds = list(Gathering(scene, 1000, seed=3).each(positions))
    assert len(clouds) == len(positions)
    for position, cloud in zip(positions, clouds, strict=True):
        at = (
            int(position)
            if position % 1 == 0
            else float(np.interp(position, range(N), scene.times))
        )
        assert np.array_equal(cloud.xyz, scene.complete(at, 1000, seed=3).xyz)
    assert not np.array_equal(clouds[0].xyz, clouds[3].xyz)


def test_a_single_image_without_depth_is_still_a_scene() -> None:
    nothing = np.full((1, H, W), np.nan, np.float32)
    scene = Scene(
        frames=np.zeros((1, H, W, 3), np.uint8),
        times=np.zeros(1),
        cameras=Cameras(np.eye(4)[None], K[None], np.ones(1, bool), np.zeros(1), "unknown"),
        depth=nothing,
        confidence=np.zeros_like(nothing),
        dynamic=np.zeros_like(nothing),
        motion=StillField(H, W),
        original_size=(W, H),
    )
    assert np.isnan(scene.pointmap(0)).all()
    assert np.isnan(scene.pointmap(0, at=0.0)).all()
    assert len(scene.complete(0)) == 0
    assert not scene.query(0, 0).visible.any()
    assert not scene.tracks(np.array([[0, 1.0, 1.0]])).visible.any()
    assert (scene.render(0).alpha == 0).all()


def test_render_of_a_frame_shows_the_frame(scene: Scene) -> None:
    still = replace(scene, motion=StillField(H, W), depth=np.full_like(scene.depth, 4.0))
    alone = replace(still, depth=np.where(np.arange(N)[:, None, None] == 2, still.depth, np.nan))
    rendering = alone.render(2)
    assert (rendering.alpha == 1).all()
    assert np.array_equal(rendering.image, scene.frames[2])
    np.testing.assert_allclose(rendering.depth, 4.0, rtol=1e-5)


def test_render_from_ones_own_view(scene: Scene) -> None:
    view = View(np.diag([2.0, 2.0, 1.0]) @ K, np.eye(4), (2 * W, 2 * H))
    rendering = scene.render(view, at=0.05)
    assert rendering.image.shape == (2 * H, 2 * W, 3)
    assert rendering.alpha.mean() > 0.99
    with pytest.raises(InputError, match="needs a time"):
        scene.render(view)


@pytest.mark.usefixtures("as_users_run_it")
def test_what_does_not_fit_together_is_refused(scene: Scene) -> None:
    wrong = {
        "frames": scene.frames.astype(np.int32),
        "depth": scene.depth[:, 1:],
        "times": np.zeros(N),
        "original_size": (0, 3),
        "cameras": replace(
            scene.cameras, **{name: getattr(scene.cameras, name)[:2] for name in _PER_FRAME}
        ),
    }
    for name, value in wrong.items():
        with pytest.raises(InputError):
            replace(scene, **{name: value})


_PER_FRAME = ("world_from_camera", "intrinsics", "registered", "focal_sigma")


@pytest.mark.usefixtures("as_users_run_it")
def test_cameras_say_what_is_wrong(scene: Scene) -> None:
    poses, k = scene.cameras.world_from_camera, scene.cameras.intrinsics
    mirrored, moved, skewed, flat = poses.copy(), poses.copy(), k.copy(), k.copy()
    mirrored[1, 0, 0] = -1
    moved[0, 0, 3] = 1
    skewed[2, 0, 1] = 0.5
    flat[2, 0, 0] = 0
    for changes, words in (
        ({"world_from_camera": mirrored}, "rigid"),
        ({"world_from_camera": moved}, "identity"),
        ({"world_from_camera": poses * np.nan}, "NaN"),
        ({"intrinsics": skewed}, "fx, 0, cx"),
        ({"intrinsics": flat}, "focal"),
        ({"registered": np.ones(2, bool)}, "registered"),
    ):
        with pytest.raises(InputError, match=words):
            replace(scene.cameras, **changes)


def test_camera_from_world_is_the_inverse(scene: Scene) -> None:
    product = scene.cameras.camera_from_world @ scene.cameras.world_from_camera
    np.testing.assert_allclose(product, np.tile(np.eye(4), (N, 1, 1)), atol=1e-12)


def test_repr_is_one_line(scene: Scene) -> None:
    assert "\n" not in repr(scene)
    assert "5 frames of 48x36" in repr(scene)
