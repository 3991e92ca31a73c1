"""Readers of tracks: points land on their pixels and stay where they are in the world."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from plane_world import PlaneWorld, half_a_pixel_off, off_plane

from worldline.cli.data import guessed
from worldline.datasets import kubric_dense, tapvid, tapvid3d, worldtrack
from worldline.datasets.clip import Clip
from worldline.errors import InputError

WORLD = PlaneWorld(count=4)
POINTS = WORLD.points()
VISIBLE = np.ones(POINTS.shape[:2], bool)
VISIBLE[0] = False
VISIBLE[1, :2] = False


def stored(**more: np.ndarray) -> dict[str, np.ndarray]:
    """What an npz of TAPVid-3D's kind holds; lists of bytes become fixed-length bytes."""
    return {
        "images_jpeg_bytes": np.array(WORLD.jpegs()),
        "tracks_XYZ": WORLD.in_cameras(POINTS).swapaxes(0, 1).astype(np.float32),
        "visibility": VISIBLE.T,
        "fx_fy_cx_cy": np.array(WORLD.lens),
        **more,
    }


def write(file: Path, content: dict[str, np.ndarray]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **content)
    return file


def reprojected(clip: Clip) -> np.ndarray:
    """Pixels of the clip's world points in its own cameras."""
    inverse = np.linalg.inv(clip.world_from_camera)
    local = np.einsum("nij,mnj->mni", inverse[:, :3, :3], clip.tracks.xyz) + inverse[:, :3, 3]
    seen = np.einsum("nij,mnj->mni", clip.intrinsics, local)
    return seen[..., :2] / seen[..., 2:]


# TAP-Vid


def examples() -> dict[str, dict[str, object]]:
    points = WORLD.pixels(POINTS) / [WORLD.width, WORLD.height]
    one = {"video": WORLD.frames, "points": points.astype(np.float32), "occluded": ~VISIBLE}
    return {"goldfish": one, "bmx": {**one, "video": WORLD.jpegs()}}


def test_tapvid_points_are_pixels_with_the_first_centre_at_a_half(tmp_path):
    (tmp_path / "tapvid_davis.pkl").write_bytes(pickle.dumps(examples()))
    assert guessed(tmp_path) == "tapvid"
    assert tapvid.names(tmp_path) == ["goldfish", "bmx"] and not tapvid.problems(tmp_path)
    clip = tapvid.read(tmp_path, "goldfish")
    assert np.abs(clip.tracks.uv - WORLD.pixels(POINTS)).max() < 1e-5
    assert (clip.tracks.visible == VISIBLE).all() and (clip.frames == WORLD.frames).all()
    assert clip.tracks.query.tolist() == [-1, 2, 0, 0, 0, 0, 0]
    part = tapvid.read(tmp_path, "goldfish", [0, 1])
    assert part.tracks.query.tolist() == [-1, -1, 0, 0, 0, 0, 0] and part.tracks.uv.shape[1] == 2


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tapvid_kinetics_is_a_list_with_jpegs(tmp_path, protocol):
    file = tmp_path / "0000_of_0010.pkl"
    file.write_bytes(pickle.dumps(list(examples().values()), protocol=protocol))
    assert tapvid.names(tmp_path) == ["0000_of_0010/0", "0000_of_0010/1"]
    clip = tapvid.read(tmp_path, "0000_of_0010/1")
    assert clip.frames.shape == WORLD.frames.shape and clip.frames.std() > 30


def test_tapvid_says_what_is_wrong(tmp_path):
    file = tmp_path / "tapvid_davis.pkl"
    file.write_bytes(b"<html>")
    assert tapvid.problems(tmp_path) == [f"{file}: is no pickle"]
    with pytest.raises(InputError, match="tapvid_davis"):
        tapvid.names(tmp_path)
    file.write_bytes(pickle.dumps({"cat": {"video": WORLD.frames}}))
    with pytest.raises(InputError, match="lacks points, occluded"):
        tapvid.read(tmp_path, "cat")
    file.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(InputError, match="no dictionary or list of videos"):
        tapvid.names(tmp_path)


# TAPVid-3D and WorldTrack


def test_tapvid3d_points_land_on_their_pixels(tmp_path):
    query = np.c_[WORLD.pixels(POINTS)[:, 2], np.full(len(POINTS), 2)]
    write(tmp_path / "drivetrack/a.npz", stored(queries_xyt=query))
    clip = tapvid3d.read(tmp_path, "drivetrack/a", [1, 2, 3])
    assert np.abs(clip.tracks.uv - WORLD.pixels(POINTS)[:, 1:]).max() < 1e-3
    assert np.abs(clip.tracks.uv[:, 1] - query[:, :2]).max() < 1e-3  # its own queries agree
    assert (clip.tracks.query == 1).all() and clip.world_from_camera is None
    assert clip.tracks.dynamic is None  # without cameras a world is not known
    assert clip.frames.shape == (3, 40, 56, 3) and not tapvid3d.problems(tmp_path)


def test_worldtrack_points_stand_still_in_the_world(tmp_path):
    extrinsics = np.linalg.inv(WORLD.poses)
    depth = WORLD.depth.astype(np.float32)
    depth[:, 0, 0] = 0
    write(tmp_path / "po_mini/b.npz", stored(extrinsics_w2c=extrinsics, depth_map=depth))
    assert worldtrack.names(tmp_path) == ["po_mini/b"]
    clip = worldtrack.read(tmp_path, "po_mini/b")
    assert np.abs(clip.tracks.xyz - POINTS).max() < 1e-5
    assert clip.tracks.dynamic.tolist() == [False] * 6 + [True]
    assert np.abs(reprojected(clip) - clip.tracks.uv).max() < 1e-6
    assert clip.tracks.query.tolist() == [-1, -1, 0, 0, 0, 0, 0]
    assert off_plane(clip) < 1e-5 and half_a_pixel_off(clip) > 0.02
    assert np.isnan(clip.depth[:, 0, 0]).all()
    assert worldtrack.protocol(tmp_path, "po_mini/b") == slice(0, 64)


def test_worldtrack_without_extrinsics_stands_still(tmp_path):
    write(tmp_path / "pstudio_mini/c.npz", stored())
    clip = worldtrack.read(tmp_path, "pstudio_mini/c")
    assert (clip.world_from_camera == np.eye(4)).all()


def test_lists_of_bytes_of_any_kind_are_read_without_pickle_being_run(tmp_path):
    content = stored(extrinsics_w2c=np.linalg.inv(WORLD.poses))
    content["images_jpeg_bytes"] = np.array(WORLD.jpegs(), dtype=object)  # pickled inside the npz
    write(tmp_path / "d.npz", content)
    assert worldtrack.read(tmp_path, "d").frames.shape == (4, 40, 56, 3)


def test_npz_that_are_broken_are_one_clear_line(tmp_path):
    write(tmp_path / "good.npz", stored())
    (tmp_path / "half.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:500])
    assert [line.split(": ")[0] for line in worldtrack.problems(tmp_path)] == [
        str(tmp_path / "half.npz")
    ]
    assert worldtrack.names(tmp_path) == ["good"]
    write(tmp_path / "good.npz", stored(visibility=VISIBLE))
    with pytest.raises(InputError, match="must agree"):
        worldtrack.read(tmp_path, "good")
    write(tmp_path / "good.npz", stored(images_jpeg_bytes=np.array([b"no jpeg"] * 4)))
    with pytest.raises(InputError, match="frame 0 is no JPEG"):
        worldtrack.read(tmp_path, "good")
    with pytest.raises(InputError, match="holds no clip"):
        tapvid3d.names(tmp_path)


# Dense tracking


def dense() -> dict[str, np.ndarray]:
    """Twelve frames; each pixel of frame 11 is followed, and the plane's right half slides."""
    world = PlaneWorld(count=12)
    y, x = np.mgrid[: world.height, : world.width] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(world.K).T
    pose = world.poses[11]
    grid = (rays * world.depth[11][..., None]) @ pose[:3, :3].T + pose[:3, 3]
    tracks = np.repeat(grid[None], 12, axis=0)
    tracks[:, :, 28:, 0] += 0.1 * (np.arange(12) - 11)[:, None, None]
    tracks[:, 0, 0] = 0
    return {
        "images_jpeg_bytes": np.array(world.jpegs()),
        "tracks_XYZ": tracks.astype(np.float32),
        "visibility": np.ones((12, *world.shape), bool),
        "fx_fy_cx_cy": np.array(world.lens),
        "extrinsics_w2c": np.linalg.inv(world.poses),
    }


def test_dense_tracks_start_at_the_query_frames_own_pixels(tmp_path):
    write(tmp_path / "kubric/0001.npz", dense())
    clip = kubric_dense.read(tmp_path, "kubric/0001")
    y, x = np.mgrid[:40, :56] + 0.5
    uv = clip.tracks.uv[:, 11].reshape(40, 56, 2)
    assert np.nanmax(np.abs(uv - np.stack([x, y], axis=-1))) < 1e-3
    assert np.isnan(uv[0, 0]).all() and not clip.tracks.visible[0].any()
    dynamic = clip.tracks.dynamic.reshape(40, 56)
    assert dynamic[:, 28:].all() and not dynamic[:, :28].any()
    assert (clip.tracks.query == 11).all() and np.abs(reprojected(clip) - clip.tracks.uv)[
        1:
    ].max() < 1e-6
    assert (kubric_dense.read(tmp_path, "kubric/0001", [10, 11]).tracks.query == 1).all()


def test_dense_tracks_with_one_mask_and_no_cameras(tmp_path):
    content = dense()
    del content["extrinsics_w2c"]
    content["visibility"] = content["visibility"][:1]
    write(tmp_path / "0001.npz", content)
    clip = kubric_dense.read(tmp_path, "0001", [0])
    assert (
        clip.tracks.uv is None and (clip.tracks.query == -1).all() and clip.tracks.visible[1:].all()
    )
    assert not kubric_dense.problems(tmp_path)
    with pytest.raises(InputError, match="holds no clip"):
        worldtrack.names(tmp_path)  # those are not sparse
