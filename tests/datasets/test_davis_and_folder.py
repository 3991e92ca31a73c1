"""DAVIS and plain folders: masks, splits, and the conventions that a folder's numbers tell."""

import json
from pathlib import Path

import numpy as np
import pytest
from plane_world import PlaneWorld, half_a_pixel_off, off_plane, steps, write_png, write_text

from worldline.cli.data import guessed
from worldline.datasets import davis, folder
from worldline.errors import InputError

WORLD = PlaneWorld()


# DAVIS


@pytest.fixture
def davis_root(tmp_path) -> Path:
    """One sequence of 2017 with two objects, and one of 2016 with white masks."""
    numbers = np.zeros((3, *WORLD.shape), np.uint8)
    numbers[:, 5:9] = 1
    numbers[1:, 20:30, 7:11] = 2
    for name, masks in (("bike-packing", numbers), ("blackswan", (numbers > 0) * np.uint8(255))):
        for k in range(3):
            frame = tmp_path / f"DAVIS/JPEGImages/480p/{name}/{k:05d}.jpg"
            write_png(frame, WORLD.frames[k])
            write_png(tmp_path / f"DAVIS/Annotations/480p/{name}/{k:05d}.png", masks[k])
    write_text(tmp_path / "DAVIS/ImageSets/2017/val.txt", "bike-packing\nblackswan\n")
    lines = [
        f"/JPEGImages/480p/blackswan/{k:05d}.jpg /Annotations/480p/blackswan/{k:05d}.png"
        for k in range(3)
    ]
    write_text(tmp_path / "DAVIS/ImageSets/480p/val.txt", "\n".join(lines))
    return tmp_path


def test_davis_objects_are_instances_and_all_of_them_move(davis_root):
    clip = davis.read(davis_root, "bike-packing")
    assert np.unique(clip.instance).tolist() == [-1, 0, 1]
    assert (clip.instance[1, 20:30, 7:11] == 1).all() and (clip.instance[0, 20:30] == -1).all()
    assert (clip.dynamic == (clip.instance >= 0)).all() and clip.dynamic[:, 5:9].all()
    white = davis.read(davis_root, "blackswan", [1, 2])
    assert np.unique(white.instance).tolist() == [-1, 0]
    assert (white.dynamic == clip.dynamic[1:]).all() and white.frame_names == ("00001", "00002")


def test_davis_splits_of_both_years(davis_root):
    assert davis.split(davis_root, "2017") == ["bike-packing", "blackswan"]
    assert davis.split(davis_root, "2016") == ["blackswan"]
    with pytest.raises(InputError, match="train"):
        davis.split(davis_root, "2016", "train")


def test_davis_test_sets_have_no_masks_but_a_lost_one_is_a_problem(davis_root):
    assert guessed(davis_root) == "davis"
    assert davis.names(davis_root) == ["bike-packing", "blackswan"]
    masks = davis_root / "DAVIS/Annotations/480p/bike-packing"
    (masks / "00002.png").unlink()
    assert davis.problems(davis_root) == [f"{masks / '00002.png'}: is missing"]
    assert davis.read(davis_root, "bike-packing").dynamic is None
    assert davis.read(davis_root, "bike-packing", [0, 1]).dynamic is not None
    (masks / "00001.png").unlink()  # a test set gives the first one only
    assert not davis.problems(davis_root)
    write_png(masks / "00000.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match=r"00000\.png: is \(4, 4\)"):
        davis.read(davis_root, "bike-packing", [0])
    with pytest.raises(InputError, match="is no DAVIS"):
        davis.names(masks)


# Plain folders


def write_clip(
    place: Path, K: np.ndarray = WORLD.K, meta: dict | None = None, **cameras: np.ndarray
) -> None:
    meta = meta or {"depth": "uint16 PNG, metres = value/5000, 0 = invalid"}
    write_text(place / "meta.json", json.dumps(meta))
    mask = np.full(WORLD.shape, 170, np.uint8)
    mask[:4] = 255
    for k in range(3):
        write_png(place / f"frames/{k:05d}.png", WORLD.frames[k])
        write_png(place / f"depth/{k:05d}.png", steps(WORLD.depth[k], 5000))
        write_png(place / f"masks/{k:05d}.png", mask)
    np.savez(place / "cameras.npz", K=K, c2w=WORLD.poses, **cameras)


INTEGERS = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


def test_folder_depth_meets_in_the_world(tmp_path):
    write_clip(tmp_path / "clip", WORLD.K - INTEGERS, timestamps=np.arange(3) / 30)
    assert guessed(tmp_path) == "folder"
    assert folder.names(tmp_path) == ["clip"] and not folder.problems(tmp_path)
    clip = folder.read(tmp_path, "clip")
    assert off_plane(clip) < 3e-4 and half_a_pixel_off(clip) > 0.02 and clip.metric
    assert clip.times.tolist() == [0, 1 / 30, 2 / 30] and clip.dynamic[:, :4].all()
    # 170 is not 255, and nobody judged it
    assert (
        not clip.dynamic[:, 4:].any() and not clip.judged[:, 4:].any() and clip.judged[:, 0].all()
    )
    assert clip.source == tmp_path / "clip/frames"
    assert folder.read(tmp_path / "clip", "clip", [1]).frame_names == ("00001",)


@pytest.mark.parametrize(
    ("centre", "said", "shift"),
    [
        ((28.0, 20.0), "OpenCV", 0.0),
        ((27.5, 19.5), "OpenCV, COLMAP", 0.5),
        ((26.3, 21.1), "OpenCV, COLMAP", 0.0),
        ((26.3, 21.1), "OpenCV, metres", 0.5),
    ],
)
def test_folder_principal_points_tell_their_convention(tmp_path, centre, said, shift):
    K = WORLD.K
    K[:2, 2] = centre
    write_clip(tmp_path, K, {"camera_convention": said, "depth": "metres = value/1000"})
    clip = folder.read(tmp_path, tmp_path.name)
    assert np.allclose(clip.intrinsics[:, :2, 2], np.array(centre) + shift)


def test_folder_lens_distortion_is_undone_for_all_that_is_read(tmp_path):
    write_clip(tmp_path / "straight")
    write_clip(tmp_path / "bent", dist=np.array([-0.2, 0.05, 0, 0, 0]))
    straight, bent = (folder.read(tmp_path, name) for name in ("straight", "bent"))
    middle = (slice(None), slice(19, 23), slice(25, 29))
    assert (bent.dynamic[middle] == straight.dynamic[middle]).all()
    assert np.abs(bent.depth[middle] - straight.depth[middle]).max() < 0.05
    assert (bent.frames != straight.frames).mean() > 0.5
    assert bent.depth.dtype == np.float32 and bent.dynamic.dtype == bool


def test_folder_flow_and_points(tmp_path):
    place = tmp_path / "x"
    for k in (10, 11, 12):
        write_png(place / f"frame{k}.png", WORLD.frames[0])
    valid = np.ones(WORLD.shape, bool)
    valid[0] = False
    flow = np.full((*WORLD.shape, 2), 2.0, np.float16)
    np.savez(place / "flow10.npz", flow=flow, valid=valid)
    xy, seen = np.full((1, 4, 2), 3.5, np.float32), np.array([[True, True, False, True]])
    np.savez(place / "points2d.npz", frame_index=np.array([1]), xy=xy, visible=seen)
    clip = folder.read(tmp_path, "x")
    assert np.isnan(clip.flow[0, 0]).all() and (clip.flow[0, 1:] == 2).all()
    assert np.isnan(clip.flow[1]).all() and not clip.metric and clip.depth is None
    assert clip.tracks.visible.tolist() == [[False, v, False] for v in (True, True, False, True)]
    assert clip.tracks.known.tolist() == [False, True, False]
    assert (clip.tracks.uv[:, 1] == 3.5).all() and np.isnan(clip.tracks.uv[:, 0]).all()


def test_folder_says_what_is_wrong(tmp_path):
    place = tmp_path / "clip"
    write_clip(place)
    (place / "depth/00002.png").unlink()
    assert folder.problems(tmp_path) == [f"{place / 'depth'}: has 2 pictures for 3 frames"]
    with pytest.raises(InputError, match="2 pictures for 3 frames"):
        folder.read(tmp_path, "clip")
    write_clip(place, np.eye(4))
    with pytest.raises(InputError, match=r"K is \(4, 4\)"):
        folder.read(tmp_path, "clip")
    write_clip(place, meta={"depth": "in some unit"})
    with pytest.raises(InputError, match="metres = value/1000"):
        folder.read(tmp_path, "clip")
    write_text(place / "meta.json", "{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        folder.read(tmp_path, "clip")


@pytest.fixture(scope="module")
def real_clips() -> Path:
    place = Path(__file__).parents[2].parent / "shared" / "data"
    if not place.is_dir():
        pytest.skip("needs the gathered clips in shared/data, not kept in the repository")
    return place


@pytest.mark.parametrize(
    "name", ["tum_fr1_xyz", "7scenes_redkitchen", "davis_camel", "kitti_odom_01_start", "nerf_fox"]
)
def test_real_folders_are_read(real_clips, name):
    assert name in folder.names(real_clips)
    clip = folder.read(real_clips, name, [0, 1])
    assert len(clip) == 2 and clip.frames.std() > 10


def test_real_depth_of_two_frames_meets_in_the_world(real_clips):
    """Tracks the static desk's depth of one frame into another: fr1's noise is about 1 %."""
    clip = folder.read(real_clips, "tum_fr1_xyz", [0, 8])
    height, width = clip.depth.shape[1:]
    y, x = np.mgrid[:height, :width] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(clip.intrinsics[0]).T
    local = (rays * clip.depth[0][..., None]).reshape(-1, 3)
    b_from_a = np.linalg.inv(clip.world_from_camera[1]) @ clip.world_from_camera[0]
    moved = local @ b_from_a[:3, :3].T + b_from_a[:3, 3]
    at = np.floor(moved @ clip.intrinsics[1].T / moved[:, 2:])[:, :2]
    inside = np.isfinite(at).all(1) & (at >= 0).all(1) & (at < [width, height]).all(1)
    u, v = at[inside].astype(int).T
    seen = clip.depth[1, v, u]
    error = np.abs(seen - moved[inside, 2]) / seen
    assert np.nanmedian(error) < 0.02
