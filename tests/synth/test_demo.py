"""The demo clip against its own truth."""

import dataclasses

import av
import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from worldline.errors import InputError
from worldline.synth.demo import demo_clip_path, demo_truth
from worldline.synth.demo.clip import SUNS, as_sensed
from worldline.synth.demo.stage import demo_cameras, demo_world
from worldline.synth.render import render
from worldline.synth.truth import visible

SMALL = (240, 135)


@pytest.fixture(scope="module")
def truth():
    return demo_truth(range(0, 48, 6), size=SMALL)


@pytest.fixture(scope="module")
def clip():
    with av.open(str(demo_clip_path())) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def look(truth, points, frame):
    """Pixels and z-depth of world points in a frame."""
    pose = truth.world_from_camera[frame]
    seen = (points - pose[:3, 3]) @ pose[:3, :3]
    uv = seen @ truth.intrinsics.T
    return uv[..., :2] / uv[..., 2:], seen[..., 2]


def inside(uv, depth, height, width):
    return (uv >= 0).all(-1) & (uv[..., 0] < width) & (uv[..., 1] < height) & (depth > 0)


def test_every_pixel_sees_something_and_the_world_is_the_first_camera(truth):
    assert np.isfinite(truth.depth).all() and (truth.depth > 0).all()
    assert (truth.instance >= 0).all()
    assert np.array_equal(truth.world_from_camera[0], np.eye(4))
    rotations = truth.world_from_camera[:, :3, :3]
    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3))


def test_points_at_their_own_time_are_where_the_ray_met_them(truth):
    height, width = truth.depth.shape[1:]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(truth.intrinsics).T
    for i, pose in enumerate(truth.world_from_camera):
        met = (rays * truth.depth[i, ..., None]) @ pose[:3, :3].T + pose[:3, 3]
        assert np.abs(met - truth.pointmap(i)).max() < 1e-4


def test_points_carried_to_another_time_lie_at_its_depth(truth):
    """Where they are visible, up to the slope of the surface within a pixel."""
    height, width = truth.depth.shape[1:]
    for i, j in ((0, 2), (4, 3), (7, 1)):
        uv, depth = look(truth, truth.pointmap(i, j), j)
        kept = inside(uv, depth, height, width)
        x, y = uv[kept].astype(int).T
        agree = np.abs(truth.depth[j, y, x] - depth[kept]) < 0.04 * depth[kept]
        same = truth.instance[j, y, x] == truth.instance[i][kept]
        assert agree[same].mean() > 0.97
        assert agree[truth.dynamic[i][kept] & same].mean() > 0.95


def test_the_ray_test_for_visibility_agrees_with_the_depth(truth):
    world, cameras = demo_world(), demo_cameras(SMALL)
    i, j, frame = 2, 4, 24
    uv, depth = look(truth, truth.pointmap(i, j), j)
    kept = inside(uv, depth, *truth.depth.shape[1:])
    instance = torch.from_numpy(truth.instance[i][kept])
    material = torch.from_numpy(truth.material[i][kept])
    points = world.at(instance[None], material[None], cameras.times[:, [frame]])
    seen = visible(world, cameras.frames([frame]), points)[0, 0].numpy()
    x, y = uv[kept].astype(int).T
    in_front = depth[kept] < truth.depth[j, y, x] * 1.03
    assert 0.5 < seen.mean() < 1
    assert (seen == in_front).mean() > 0.96


def test_two_things_move_and_the_court_stands(truth):
    share = truth.dynamic.mean(axis=(1, 2))
    assert share.mean() >= 0.2 and share.min() >= 0.12 and share.max() <= 0.5
    world, cameras = demo_world(), demo_cameras()
    places = world.place(cameras.times)[0]
    travel = (places[-1] - places[0])[:, :3, 3].norm(dim=1)
    assert (travel[world.moves(cameras.times)[0]] > 1.0).all()
    still = ~truth.dynamic
    for i, j in ((0, 7), (5, 2)):
        motion = np.linalg.norm(truth.displacement(i, j), axis=-1)
        assert (motion[still[i]] == 0).all()
        assert np.median(motion[truth.dynamic[i]]) > 0.5
    assert (truth.displacement(3, 3) == 0).all()


def test_both_movers_keep_to_the_floor():
    """The lowest point of the wheels and of the skirt is on z = 0 at all times."""
    world, cameras = demo_world(), demo_cameras()
    moves = world.moves(cameras.times)[0]
    places = world.place(cameras.times)[0, :, moves]
    angle = torch.linspace(0, 2 * torch.pi, 181)[:-1].double()
    rim = torch.stack([angle.cos(), angle.sin(), torch.ones_like(angle)], dim=1)
    rims = torch.cat([rim, rim * torch.tensor([1.0, 1.0, -1.0])]) * world.half[0, moves, None]
    heights = (rims @ places[..., :3, :3].mT + places[:, :, None, :3, 3])[..., 2].amin(dim=2)
    on_floor = heights.abs().amax(dim=0) < 2e-3
    assert on_floor.sum() == 5  # four wheels and the skirt
    assert heights.min() > -2e-3


def test_the_camera_moves_but_not_with_the_movers():
    cameras, world = demo_cameras(), demo_world()
    path = cameras.world_from_camera[0, :, :3, 3]
    way = path[-1] - path[0]
    assert 1.0 < way.norm() < 2.0
    places = world.place(cameras.times)[0, :, world.moves(cameras.times)[0], :3, 3]
    moved = places[-1] - places[0]
    cosine = (moved @ way) / moved.norm(dim=1) / way.norm()
    assert cosine.abs().max() < 0.85


def test_truth_of_chosen_frames_is_that_of_all(truth):
    two = demo_truth([12, 42], size=SMALL)
    assert np.array_equal(two.depth, truth.depth[[2, 7]])
    assert np.array_equal(two.world_from_camera, truth.world_from_camera[[2, 7]])
    assert np.allclose(two.displacement(0, 1), truth.displacement(2, 7))
    for frames in ([48], [-1], []):
        with pytest.raises(InputError, match="0 to 47"):
            demo_truth(frames)


def test_the_clip_is_small_and_complete(clip):
    assert demo_clip_path().stat().st_size <= 500_000
    assert clip.shape == (48, 270, 480, 3)


@pytest.mark.parametrize(("frame", "left", "top"), [(0, 0, 100), (29, 130, 60), (47, 290, 30)])
def test_the_clip_is_what_the_renderer_makes(clip, frame, left, top):
    """In a window of the picture, which is a camera with another principal point."""
    one = demo_cameras().frames([frame])
    intrinsics = one.intrinsics.clone()
    intrinsics[..., :2, 2] -= torch.tensor([left, top])
    window = dataclasses.replace(one, intrinsics=intrinsics, size=(160, 90))
    picture = render(demo_world(), window, samples=2, suns=SUNS).rgb
    part = clip[frame, top : top + 90, left : left + 160]
    error = np.square(part - 255 * picture[0, 0].numpy()).mean()
    assert 10 * np.log10(255**2 / error) > 28


def test_sensor_noise_is_slight_and_the_frames_own():
    grey = np.full((40, 50, 3), 0.5, np.float32)
    sensed = as_sensed(grey, seed=3)
    assert np.array_equal(sensed, as_sensed(grey, seed=3))
    assert not np.array_equal(sensed, as_sensed(grey, seed=4))
    assert 0.8 < sensed.astype(float).std() < 1.6
    assert as_sensed(0 * grey, seed=0).max() < 10 and as_sensed(2 * grey, seed=0).min() > 245


def test_static_pixels_keep_their_colour_under_the_exact_warp(clip):
    """Nearest pixel to nearest pixel, so against the spread of a small neighbourhood."""
    truth = demo_truth([0, 4])
    height, width = truth.depth.shape[1:]
    uv, depth = look(truth, truth.pointmap(0, 1), 1)
    kept = inside(uv, depth, height, width) & ~truth.dynamic[0]
    x, y = uv[kept].astype(int).T
    seen = np.abs(truth.depth[1, y, x] - depth[kept]) < 0.02 * depth[kept]
    first, fourth = clip[0].astype(float), clip[4].astype(float)
    warped = np.abs(first[kept] - fourth[y, x])[seen].mean()
    unwarped = np.abs(first - fourth)[kept][seen].mean()
    assert warped < 0.5 * unwarped
    windows = sliding_window_view(np.pad(fourth, ((1, 1), (1, 1), (0, 0)), "edge"), (3, 3), (0, 1))
    low, high = windows.min((-1, -2))[y, x] - 8, windows.max((-1, -2))[y, x] + 8
    between = ((first[kept] >= low) & (first[kept] <= high)).all(-1)[seen]
    assert between.mean() > 0.95
