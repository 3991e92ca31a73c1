"""PointOdyssey's folders give the scene they were made of."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from wall_and_box import Truth, check_cameras, check_depth, check_tracks, truth

from worldline.datasets import point_odyssey
from worldline.errors import InputError

STEP = 1000 / 65535  # of the depth


@pytest.fixture
def scene() -> Truth:
    return truth(3, shift=(1.3, -0.7))


@pytest.fixture
def root(tmp_path: Path, scene: Truth) -> Path:
    home = tmp_path / "train" / "ani"
    for folder in ("rgbs", "depths", "masks"):
        (home / folder).mkdir(parents=True)
    for k in range(3):
        Image.fromarray(scene.frames[k]).save(home / f"rgbs/rgb_{k:05d}.jpg", quality=95)
        levels = np.round(scene.depth[k] / STEP).astype(np.uint16)
        levels[0, 0], levels[0, 1] = 65535, 0
        cv2.imwrite(str(home / f"depths/depth_{k:05d}.png"), levels)
        mask = scene.on_box[k][..., None] * np.array([1, 2, 3], np.uint8)
        Image.fromarray(mask).save(home / f"masks/mask_{k:05d}.png")
    tracks = scene.tracks()
    uv, xyz = tracks.uv.transpose(1, 0, 2).copy(), tracks.xyz.transpose(1, 0, 2)
    uv[1, 0] = np.inf
    valids = np.ones(uv.shape[:2])
    valids[2, 1] = 0
    np.savez(
        home / "anno.npz",
        trajs_2d=uv.astype(np.float32),
        trajs_3d=xyz.astype(np.float32),
        visibs=tracks.visible.T.astype(np.float32),
        valids=valids,
        intrinsics=np.tile(scene.K, (3, 1, 1)).astype(np.float32),
        extrinsics=np.linalg.inv(scene.world_from_camera).astype(np.float32),
    )
    return tmp_path


def test_a_clip_is_the_scene(root: Path, scene: Truth) -> None:
    assert point_odyssey.names(root) == ["train/ani"]
    clip = point_odyssey.read(root, "train/ani")
    check_cameras(clip, scene, atol=1e-6)
    check_depth(clip, scene, atol=STEP)
    check_tracks(clip, scene)
    assert clip.depth is not None and np.isnan(clip.depth[:, 0, :2]).all()  # cut, and none
    np.testing.assert_array_equal(clip.instance, np.where(scene.on_box, 0x010203, -1))
    assert np.abs(clip.frames.astype(int) - scene.frames).mean() < 10  # JPEG
    assert point_odyssey.problems(root) == []


def test_tracks_are_known_where_they_are_valid_and_finite(root: Path, scene: Truth) -> None:
    tracks = point_odyssey.read(root, "train/ani").tracks
    assert tracks is not None and tracks.uv is not None and tracks.xyz is not None
    assert np.isnan(tracks.uv[0, 1]).all() and np.isfinite(tracks.xyz[0, 1]).all()
    assert np.isnan(tracks.uv[1, 2]).all() and np.isnan(tracks.xyz[1, 2]).all()
    wanted = scene.tracks().visible.copy()
    wanted[0, 1] = wanted[1, 2] = False
    np.testing.assert_array_equal(tracks.visible, wanted)
    np.testing.assert_array_equal(tracks.dynamic, scene.tracks().dynamic)


def test_one_frame_still_knows_what_moves(root: Path, scene: Truth) -> None:
    clip = point_odyssey.read(root, "train/ani", frames=[1])
    assert clip.tracks is not None and clip.frame_names == ("00001",)
    np.testing.assert_array_equal(clip.tracks.dynamic, scene.tracks().dynamic)


def test_what_is_missing_or_broken_is_named(root: Path) -> None:
    home = root / "train" / "ani"
    (home / "depths/depth_00001.png").unlink()
    assert point_odyssey.problems(root) == [f"{root}/train/ani/depths/depth_00001.png: is missing"]
    with pytest.raises(InputError, match=r"depth_00001\.png: is missing"):
        point_odyssey.read(root, "train/ani")
    (home / "anno.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"anno\.npz: cannot be read"):
        point_odyssey.read(root, "train/ani")
