"""Readers of depth and cameras: files in each dataset's own layout give one plane in the world.

Unprojected depth of all frames lies on the plane only with the right units, axes, pose direction
and pixel centres: with those half a pixel off, it does not, which each test shows, too.
"""

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from plane_world import (
    OPENGL,
    PlaneWorld,
    half_a_pixel_off,
    off_plane,
    steps,
    write_matrix,
    write_png,
    write_text,
)

from worldline.cli.data import guessed
from worldline.datasets import bonn, kitti_depth, nrgbd, scannet, seven_scenes, sintel, tum_dynamics
from worldline.errors import InputError

TAG = struct.pack("<f", 202021.25)


def shifted(K: np.ndarray) -> np.ndarray:
    """K as datasets with integer pixel centres store it."""
    return K - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


def as_4x4(K: np.ndarray) -> np.ndarray:
    whole = np.eye(4)
    whole[:3, :3] = K
    return whole


# Sintel


def write_sintel(root: Path, world: PlaneWorld, scene: str = "alley_2") -> None:
    base, (height, width) = root / "training", world.shape
    flow = np.full((height, width, 2), [1.5, -0.5], "<f4")
    for k in range(world.count):
        name = f"frame_{k + 1:04d}"
        write_png(base / "final" / scene / f"{name}.png", world.frames[k])
        size = struct.pack("<ii", width, height)
        for kind in ("depth", "camdata_left", "flow"):
            (base / kind / scene).mkdir(parents=True, exist_ok=True)
        depth = world.depth[k].astype("<f4").tobytes()
        (base / "depth" / scene / f"{name}.dpt").write_bytes(TAG + size + depth)
        K, w2c = shifted(world.K), np.linalg.inv(world.poses[k])[:3]
        camera = K.astype("<f8").tobytes() + w2c.astype("<f8").tobytes()
        (base / "camdata_left" / scene / f"{name}.cam").write_bytes(TAG + camera)
        if k + 1 < world.count:
            invalid = np.zeros((height, width), np.uint8)
            invalid[0, k] = 255
            write_png(base / "invalid" / scene / f"{name}.png", invalid)
            (base / "flow" / scene / f"{name}.flo").write_bytes(TAG + size + flow.tobytes())


@pytest.fixture
def sintel_root(tmp_path) -> Path:
    write_sintel(tmp_path, PlaneWorld())
    return tmp_path


def test_sintel_depth_meets_in_the_world(sintel_root):
    assert guessed(sintel_root) == "sintel"
    assert sintel.names(sintel_root) == ["final/alley_2"] and not sintel.problems(sintel_root)
    clip = sintel.read(sintel_root, "final/alley_2")
    assert off_plane(clip) < 1e-5 and half_a_pixel_off(clip) > 0.02
    assert (clip.frames == PlaneWorld().frames).all() and not clip.metric
    assert clip.frame_names == ("frame_0001", "frame_0002", "frame_0003")


def test_sintel_flow_is_of_neighbours_and_nan_where_invalid(sintel_root):
    flow = sintel.read(sintel_root, "final/alley_2").flow
    assert np.isnan(flow[0, 0, 0]).all() and np.isnan(flow[1, 0, 1]).all()
    assert (flow[0, 1:] == [1.5, -0.5]).all()
    assert sintel.read(sintel_root, "final/alley_2", [0, 2]).flow is None
    part = sintel.read(sintel_root, "final/alley_2", slice(1, 3))
    assert np.isnan(part.flow[0, 0, 1]).all() and len(part) == 2


def test_sintel_labels_count_only_where_all_frames_have_one(sintel_root):
    labels = sintel_root / "training/dynamic_label_perfect/alley_2"
    mask = np.zeros(PlaneWorld().shape, np.uint8)
    mask[3:5] = 255
    for k in (1, 2):
        write_png(labels / f"frame_{k:04d}.png", mask)
    assert sintel.read(sintel_root, "final/alley_2").dynamic is None
    dynamic = sintel.read(sintel_root, "final/alley_2", [0, 1]).dynamic
    assert (dynamic == (mask > 0)).all()


def test_sintel_passes_share_their_truth_and_archives_that_are_absent_are_one_line(sintel_root):
    base = sintel_root / "training"
    shutil.copytree(base / "final", base / "clean")
    assert sintel.names(sintel_root) == ["final/alley_2", "clean/alley_2"]
    assert off_plane(sintel.read(sintel_root, "clean/alley_2")) < 1e-5
    shutil.rmtree(base / "flow")
    assert sintel.problems(sintel_root) == [f"{base / 'flow'}: is missing"]
    assert sintel.read(sintel_root, "final/alley_2").flow is None
    shutil.rmtree(base / "depth")
    shutil.rmtree(base / "camdata_left")
    clip = sintel.read(sintel_root, "final/alley_2")
    assert clip.depth is None and clip.intrinsics is None and clip.world_from_camera is None


def test_sintel_says_what_is_missing_and_what_is_broken(sintel_root):
    camera = sintel_root / "training/camdata_left/alley_2/frame_0002.cam"
    camera.unlink()
    assert sintel.problems(sintel_root) == [f"{camera}: is missing"]
    with pytest.raises(InputError, match=r"frame_0002\.cam: is missing"):
        sintel.read(sintel_root, "final/alley_2")
    camera.write_bytes(b"\0" * 180)
    with pytest.raises(InputError, match="tag is wrong"):
        sintel.read(sintel_root, "final/alley_2")
    (sintel_root / "training/depth/alley_2/frame_0001.dpt").write_bytes(TAG + b"12")
    with pytest.raises(InputError, match=r"frame_0001\.dpt: cannot be read"):
        sintel.read(sintel_root, "final/alley_2", [0])
    with pytest.raises(InputError, match="frames 0 to 2"):
        sintel.read(sintel_root, "final/alley_2", [7])
    with pytest.raises(InputError, match="has no clip"):
        sintel.read(sintel_root, "final/cave_2")


# TUM and Bonn


def test_tum_frames_are_those_with_a_pose_and_depth_meets_in_the_world(tmp_path):
    fx, fy, cx, cy = tum_dynamics.FREIBURG3
    world = PlaneWorld(lens=(fx, fy, cx + 0.5, cy + 0.5))
    folder = tmp_path / "rgbd_dataset_freiburg3_walking_static"
    rgb, depth, truth = ["# colour"], ["# depth"], ["# truth"]
    for k in range(3):
        write_png(folder / f"rgb/{k}.25.png", world.frames[k])
        write_png(folder / f"depth/{k}.26.png", steps(world.depth[k], 5000))
        rgb.append(f"{k}.25 rgb/{k}.25.png")
        depth.append(f"{k}.26 depth/{k}.26.png")
        truth += [f"{k}.20 9 9 9 0 0 0 1", f"{k}.245 {world.rows(k)}", f"{k}.29 9 9 9 0 0 0 1"]
    rgb.append("9.25 rgb/9.25.png")  # long after the last pose: no frame
    write_png(folder / "rgb/9.25.png", world.frames[0])
    depth.remove("1.26 depth/1.26.png")
    for name, lines in (("rgb", rgb), ("depth", depth), ("groundtruth", truth)):
        write_text(folder / f"{name}.txt", "\n".join(lines) + "\n")
    clip = tum_dynamics.read(tmp_path, folder.name, [0, 2])
    assert off_plane(clip) < 3e-4 and half_a_pixel_off(clip) > 6e-4 and clip.metric
    assert clip.times.tolist() == [0.25, 2.25] and clip.frame_names == ("0.25", "2.25")
    whole = tum_dynamics.read(tmp_path, folder.name)
    assert len(whole) == 3 and np.isnan(whole.depth[1]).all()
    assert tum_dynamics.protocol(tmp_path, folder.name) == slice(0, 270, 3)
    assert not tum_dynamics.problems(tmp_path) and guessed(tmp_path) == "tum_dynamics"
    (folder / "rgb/2.25.png").unlink()
    assert tum_dynamics.problems(tmp_path) == [f"{folder / 'rgb/2.25.png'}: is missing"]


def test_bonn_pairs_by_time_where_the_published_preparation_pairs_by_position(tmp_path):
    fx, fy, cx, cy = bonn.LENS
    world = PlaneWorld(count=4, lens=(fx, fy, cx + 0.5, cy + 0.5))
    folder = tmp_path / "rgbd_bonn_balloon2"
    truth = []
    for k in range(4):
        write_png(folder / f"rgb/10{k}.00.png", world.frames[k])
        if k != 1:  # a dropped picture: by position, all later ones would get another's depth
            write_png(folder / f"depth/10{k}.01.png", steps(world.depth[k], 5000))
        truth += [f"10{k}.{part} 9 9 9 0 0 0 1" for part in (20, 40, 60)]
        truth.insert(-3, f"10{k}.005 {world.rows(k)}")
    write_text(folder / "groundtruth.txt", "\n".join(truth))
    clip = bonn.read(tmp_path, folder.name)
    assert np.isnan(clip.depth[1]).all()
    kept = bonn.read(tmp_path, folder.name, [0, 2, 3])
    assert off_plane(kept) < 3e-4 and half_a_pixel_off(kept) > 6e-4
    assert kept.times.tolist() == [100.0, 102.0, 103.0]
    assert bonn.protocol(tmp_path, folder.name) == slice(30, 140) and not bonn.problems(tmp_path)
    for kind in ("rgb", "depth"):
        (folder / kind).rename(folder / f"{kind}_110")
    assert (bonn.read(tmp_path, folder.name).frames == world.frames).all()
    assert bonn.protocol(tmp_path, folder.name) == slice(0, 110)


# ScanNet, 7-Scenes, Neural RGB-D


@pytest.fixture
def scannet_root(tmp_path) -> Path:
    world, folder = PlaneWorld(), tmp_path / "scene0707_00"
    for k in range(3):
        large = np.repeat(np.repeat(world.frames[k], 2, axis=0), 2, axis=1)
        write_png(folder / f"color/{k}.jpg", large)
        write_png(folder / f"depth/{k}.png", steps(world.depth[k], 1000))
        write_matrix(folder / f"pose/{k}.txt", world.poses[k])
    write_matrix(folder / scannet.INTRINSICS, as_4x4(shifted(world.K)))
    return tmp_path


def test_scannet_depth_meets_in_the_world(scannet_root):
    clip = scannet.read(scannet_root, "scene0707_00")
    assert off_plane(clip) < 1e-3 and half_a_pixel_off(clip) > 0.02
    assert guessed(scannet_root) == "scannet"
    assert clip.frames.shape == (3, 40, 56, 3) and not scannet.problems(scannet_root)


def test_scannet_lost_poses_are_nan_and_unknown_depth_too(scannet_root):
    folder = scannet_root / "scene0707_00"
    write_matrix(folder / "pose/1.txt", np.full((4, 4), -np.inf))
    depth = steps(PlaneWorld().depth[0], 1000)
    depth[0, :5] = 0
    write_png(folder / "depth/0.png", depth)
    clip = scannet.read(scannet_root, "scene0707_00")
    assert np.isnan(clip.world_from_camera[1]).all()
    assert np.isnan(clip.depth[0, 0, :5]).all() and np.isfinite(clip.depth[0, 1:]).all()


def test_scannet_as_monst3r_keeps_it(scannet_root, tmp_path):
    folder = scannet_root / "scene0707_00"
    for kind, ending in (("color", "jpg"), ("depth", "png")):
        (folder / f"{kind}_90").mkdir()
        for k in range(3):
            old = folder / kind / f"{k}.{ending}"
            old.rename(folder / f"{kind}_90" / f"frame_{k:04d}.{ending}")
        (folder / kind).rmdir()
    write_matrix(folder / "pose_90.txt", PlaneWorld().poses.reshape(3, 16))
    clip = scannet.read(scannet_root, "scene0707_00", [2, 0])
    assert off_plane(clip) < 1e-3 and clip.frame_names == ("frame_0002", "frame_0000")
    assert scannet.protocol(scannet_root, "scene0707_00") == slice(0, 90)


@pytest.mark.parametrize(("kind", "focal"), [("depth", 585.0), ("depth.proj", 525.0)])
def test_seven_scenes_depth_meets_in_the_world(tmp_path, kind, focal):
    world = PlaneWorld(height=48, width=64, lens=(focal / 10, focal / 10, 32.0, 24.0))
    folder = tmp_path / "chess/seq-01"
    for k in range(3):
        stem = folder / f"frame-{k:06d}"
        depth = steps(world.depth[k], 1000)
        depth[0, :2] = (0, 65535)
        write_png(stem.with_name(f"{stem.name}.color.png"), world.frames[k])
        write_png(stem.with_name(f"{stem.name}.{kind}.png"), depth)
        write_matrix(stem.with_name(f"{stem.name}.pose.txt"), world.poses[k])
    clip = seven_scenes.read(tmp_path, "chess/seq-01")
    assert off_plane(clip) < 1e-3 and half_a_pixel_off(clip) > 0.02
    assert np.isnan(clip.depth[:, 0, :2]).all() and clip.frame_names[1] == "frame-000001"
    assert not seven_scenes.problems(tmp_path) and guessed(tmp_path) == "seven_scenes"
    (folder / "frame-000002.pose.txt").unlink()
    assert "frame-000002.pose.txt: is missing" in seven_scenes.problems(tmp_path)[0]


def test_nrgbd_cameras_come_from_opengl(tmp_path):
    focal = nrgbd.FOCAL / 10
    world = PlaneWorld(count=11, height=48, width=64, lens=(focal, focal, 32.0, 24.0))
    folder = tmp_path / "kitchen"
    rows = (world.poses @ OPENGL).reshape(-1, 4)
    rows[4:8] = np.nan
    write_matrix(folder / "poses.txt", rows)
    write_text(folder / "focal.txt", f"{nrgbd.FOCAL}\n")
    for k in range(11):
        write_png(folder / f"images/img{k}.png", world.frames[k])
        write_png(folder / f"depth/depth{k}.png", steps(world.depth[k], 1000))
    clip = nrgbd.read(tmp_path, "kitchen", [0, 2, 10])
    assert off_plane(clip) < 1e-3 and half_a_pixel_off(clip) > 0.02
    assert clip.frame_names == ("img0", "img2", "img10")  # not img1, img10, img2
    assert np.isnan(nrgbd.read(tmp_path, "kitchen", [1]).world_from_camera).all()
    assert nrgbd.protocol(tmp_path, "kitchen") == slice(0, None, 5)
    assert not nrgbd.problems(tmp_path) and guessed(tmp_path) == "nrgbd"
    write_text(folder / "poses.txt", "1 0 0 0\n")
    with pytest.raises(InputError, match="a frame needs four"):
        nrgbd.read(tmp_path, "kitchen")


# KITTI

DRIVE = "2011_09_26_drive_0002_sync"


def test_kitti_selection_has_its_own_lens(tmp_path):
    world, base = PlaneWorld(), tmp_path / "depth_selection/val_selection_cropped"
    for k in range(3):
        stem = f"{DRIVE}_image_{k:010d}_image_02"
        depth = steps(world.depth[k], 256)
        depth[0, 0] = 0
        write_png(base / "image" / f"{stem}.png", world.frames[k])
        truth = f"{DRIVE}_groundtruth_depth_{k:010d}_image_02.png"
        write_png(base / "groundtruth_depth" / truth, depth)
        write_matrix(base / "intrinsics" / f"{stem}.txt", shifted(world.K).reshape(1, 9))
    clip = kitti_depth.read(tmp_path, f"{DRIVE}_02")
    assert np.allclose(clip.intrinsics, world.K, atol=1e-8)
    assert np.nanmax(np.abs(clip.depth - world.depth)) < 0.6 / 256
    assert np.isnan(clip.depth[:, 0, 0]).all() and clip.world_from_camera is None
    assert not kitti_depth.problems(tmp_path) and guessed(tmp_path) == "kitti_depth"


def test_kitti_raw_and_gathered(tmp_path):
    world = PlaneWorld()
    P = np.c_[shifted(world.K), [45.0, 0.2, 0.003]]
    numbers = " ".join(f"{value:.9e}" for value in P.ravel())
    text = f"calib_time: 09-Jan-2012 13:57:47\nP_rect_02: {numbers}\n"
    write_text(tmp_path / "raw/2011_09_26/calib_cam_to_cam.txt", text)
    for k in range(5, 8):  # accumulated depth lacks the first five frames of a drive
        name = f"{k:010d}.png"
        write_png(tmp_path / "raw/2011_09_26" / DRIVE / "image_02/data" / name, world.frames[k - 5])
        place = tmp_path / "val" / DRIVE / "proj_depth/groundtruth/image_02" / name
        write_png(place, steps(world.depth[k - 5], 256))
    clip = kitti_depth.read(tmp_path, f"{DRIVE}_02", [1])
    assert clip.frame_names == ("0000000006",) and np.allclose(clip.intrinsics, world.K, atol=1e-6)
    assert np.abs(clip.depth - world.depth[1:2]).max() < 0.6 / 256
    base = tmp_path / "gathered"
    for kind, values in (("image", world.frames), ("groundtruth_depth", steps(world.depth, 256))):
        for k in range(3):
            write_png(base / f"{kind}_gathered/{DRIVE}_02/{k:010d}.png", values[k])
    gathered = kitti_depth.read(base, f"{DRIVE}_02")
    assert guessed(base) == guessed(tmp_path) == "kitti_depth"
    assert len(gathered) == 3 and gathered.intrinsics is None
    picture = base / f"image_gathered/{DRIVE}_02/0000000001.png"
    picture.unlink()
    assert kitti_depth.problems(base) == [f"{picture}: is missing"]


@pytest.mark.parametrize(
    "reader", [bonn, kitti_depth, nrgbd, scannet, seven_scenes, sintel, tum_dynamics]
)
def test_an_empty_folder_is_one_clear_problem(reader, tmp_path):
    assert len(reader.problems(tmp_path)) == 1
    with pytest.raises(InputError, match="looked for"):
        reader.names(tmp_path)
    with pytest.raises(InputError, match=r"is no folder|looked for|holds no"):
        reader.names(tmp_path / "nowhere")
