"""Cameras, depth and masks of other programs arrive at the clip's own frames and size."""

import json
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from worldline.errors import InputError
from worldline.io import read_clip
from worldline.io.priors import Kept, known_cameras, known_maps

N, WORKING, ORIGINAL = 4, (60, 40), (120, 80)
NAMES = tuple(f"shot{i + 8}.png" for i in range(N))  # shot8, shot9, shot10: not as text sorts
K = np.array([[100.0, 0.0, 61.0], [0.0, 101.0, 39.5], [0.0, 0.0, 1.0]])  # original pixels
HALF = np.diag([0.5, 0.5, 1.0]) @ K


@pytest.fixture
def kept() -> Kept:
    return Kept(np.arange(N) / 10, NAMES, N, 1, ORIGINAL, WORKING)


@pytest.fixture
def poses() -> np.ndarray:
    rng = np.random.default_rng(0)
    made = np.tile(np.eye(4), (N, 1, 1))
    made[:, :3, :3] = Rotation.random(N, random_state=0).as_matrix()
    made[:, :3, 3] = rng.normal(size=(N, 3))
    return made


def write_npz(folder, poses):
    np.savez(folder / "cameras.npz", world_from_camera=poses, intrinsics=np.tile(K, (N, 1, 1)))
    return folder / "cameras.npz"


def write_nerfstudio(folder, poses):
    opengl = poses @ np.diag([1, -1, -1, 1])
    frames = [
        {"file_path": f"images/{name}", "transform_matrix": pose.tolist()}
        for name, pose in zip(NAMES, opengl, strict=True)
    ]
    lens = {"fl_x": 100, "fl_y": 101, "cx": 61, "cy": 39.5, "w": ORIGINAL[0], "h": ORIGINAL[1]}
    (folder / "transforms.json").write_text(json.dumps(lens | {"frames": frames[::-1]}))
    return folder


def write_colmap(folder, poses):
    """At twice the original's size, as if its images had been enlarged."""
    model = pycolmap.Reconstruction()
    lens = pycolmap.Camera(
        camera_id=1, model="PINHOLE", width=240, height=160, params=[200, 202, 122, 79]
    )
    model.add_camera_with_trivial_rig(lens)
    for i, name in enumerate(NAMES):
        rigid = pycolmap.Rigid3d(np.linalg.inv(poses[i])[:3])
        model.add_image_with_trivial_frame(
            pycolmap.Image(name=name, camera_id=1, image_id=i + 1), rigid
        )
    (folder / "sparse/0").mkdir(parents=True)
    model.write(folder / "sparse/0")
    return folder


@pytest.mark.parametrize("write", [write_npz, write_nerfstudio, write_colmap])
def test_cameras_of_any_kind_are_the_same(write, kept, poses, tmp_path: Path):
    found, intrinsics = known_cameras(write(tmp_path, poses), kept)
    assert np.allclose(found, poses, atol=1e-6)
    assert np.allclose(intrinsics, HALF, atol=1e-6)


def test_a_trajectory_has_no_lens_and_is_matched_by_its_times(poses, tmp_path: Path):
    rows = [
        [t, *pose[:3, 3], *Rotation.from_matrix(pose[:3, :3]).as_quat()]
        for t, pose in zip((0.0, 0.1, 0.2, 0.3), poses, strict=True)
    ]
    (tmp_path / "path.txt").write_text("# t x y z q\n")
    with (tmp_path / "path.txt").open("a") as file:
        np.savetxt(file, rows)
    times = np.array([0.01, 0.11, 0.5, 0.19, 0.31])
    found, intrinsics = known_cameras(
        tmp_path / "path.txt", Kept(times[[0, 1, 3, 4, 2]], (), 9, 2, ORIGINAL, WORKING)
    )
    assert np.allclose(found[:4], poses, atol=1e-6) and np.isnan(found[4]).all()
    assert np.isnan(intrinsics).all()


def test_cameras_of_the_whole_source_are_thinned_as_its_frames_are(poses, tmp_path: Path):
    two = Kept(np.arange(2) / 5, (), N, 2, ORIGINAL, WORKING)
    found, _ = known_cameras(write_npz(tmp_path, poses), two)
    assert np.allclose(found, poses[::2])


def test_depth_and_masks_come_at_either_size(kept, tmp_path: Path):
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 60000, (N, ORIGINAL[1], ORIGINAL[0]), dtype=np.uint16)
    steps[:, 0, 0] = 0
    masks = rng.random((N, WORKING[1], WORKING[0])) > 0.5
    for name in ("depth", "masks"):
        (tmp_path / name).mkdir()
    for i in range(N):
        Image.fromarray(steps[i]).save(tmp_path / f"depth/{NAMES[i]}")
        Image.fromarray((255 * masks[i]).astype(np.uint8)).save(tmp_path / f"masks/{NAMES[i]}")
    with pytest.raises(InputError, match="one step of depth"):
        known_maps(tmp_path / "depth", kept, "depth")
    (tmp_path / "meta.json").write_text('{"unit": 0.0002}')
    depth = known_maps(tmp_path / "depth", kept, "depth")
    assert np.isnan(depth[:, 0, 0]).all()
    there = np.isfinite(depth)
    assert np.allclose(depth[there], (0.0002 * steps[:, ::2, ::2])[there], rtol=1e-6)
    assert np.array_equal(known_maps(tmp_path / "masks", kept, "masks") > 0.5, masks)
    np.savez(tmp_path / "all.npz", depth=depth, dynamic=masks)
    assert np.array_equal(known_maps(tmp_path / "all.npz", kept, "depth"), depth, equal_nan=True)


def test_exr_depth_keeps_every_bit(kept, tmp_path: Path):
    import OpenEXR

    depth = np.random.default_rng(0).random((N, WORKING[1], WORKING[0])).astype(np.float32)
    depth[0, 0, 0] = np.nan
    for i in range(N):
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        with OpenEXR.File(header, {"Z": depth[i]}) as file:
            file.write(str(tmp_path / f"{i}.exr"))
    assert np.array_equal(known_maps(tmp_path, kept, "depth"), depth, equal_nan=True)


def bad_count(folder, poses):
    np.savez(folder / "a.npz", world_from_camera=poses[:3])
    return folder / "a.npz"


def bad_shape(folder, poses):
    np.savez(folder / "a.npz", c2w=poses[:, :3])
    return folder / "a.npz"


def bad_keys(folder, _poses):
    np.savez(folder / "a.npz", what=1)
    return folder / "a.npz"


def bad_distortion(folder, poses):
    path = write_nerfstudio(folder, poses) / "transforms.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"k1": 0.1}))
    return path


def bad_table(folder, _poses):
    (folder / "a.txt").write_text("1 2 3\n")
    return folder / "a.txt"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (bad_count, "a.npz: is of 3 frames, the clip has 4: give one for each"),
        (bad_shape, "shape .* give .N,4,4."),
        (bad_keys, "holds no world_from_camera or c2w, only"),
        (bad_distortion, "undistort the images first"),
        (bad_table, "has 3 columns: give t x y z"),
        (lambda folder, _: folder, "holds no COLMAP model"),
        (lambda folder, _: folder / "no.npz", "there is no such file"),
        (lambda folder, _: folder / "no.abc", "give cameras as"),
    ],
)
def test_cameras_that_do_not_fit_are_told(write, message, kept, poses, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        known_cameras(write(tmp_path, poses), kept)


def test_maps_of_another_size_are_told(kept, tmp_path: Path):
    np.savez(tmp_path / "a.npz", depth=np.ones((N, 10, 20)))
    with pytest.raises(InputError, match="is 20x10, the clip 120x80 or 60x40"):
        known_maps(tmp_path / "a.npz", kept, "depth")


def test_a_clip_takes_the_lens_and_the_rest(poses, tmp_path: Path):
    (tmp_path / "shots").mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (80, 120, 3), dtype=np.uint8)
    for name in NAMES:
        Image.fromarray(picture).save(tmp_path / "shots" / name)
    cameras = write_nerfstudio(tmp_path, poses) / "transforms.json"
    clip = read_clip(tmp_path / "shots", size=60, cameras_from=cameras)
    assert clip.intrinsics_source == "given" and np.allclose(clip.intrinsics, HALF)
    assert np.allclose(clip.known_poses, poses, atol=1e-6) and clip.known_intrinsics is None
    with pytest.raises(InputError, match="also given: give it once"):
        read_clip(tmp_path / "shots", size=60, cameras_from=cameras, focal=100.0)
