"""Tracks read back as points that stay or move as the world does, in pixels of the input."""

import csv
from pathlib import Path

import numpy as np
import pytest
from export_world import ORIGINAL, VELOCITY, H, W, make_world, project

from worldline.scene import Scene


def test_arrays_follow_the_world_in_input_pixels(world: Scene, tmp_path: Path) -> None:
    with np.load(world.export(tmp_path / "a.tracks.npz")) as read:
        tracks = {name: read[name] for name in read.files}
    moves = tracks["dynamic"] > 0.5
    assert moves.any()
    assert not moves.all()
    assert np.isfinite(tracks["xyz"]).all()
    frame = np.arange(len(world))
    for kind, velocity in ((moves, VELOCITY), (~moves, 0 * VELOCITY)):
        xyz, source = tracks["xyz"][kind], tracks["source_frame"][kind]
        home = xyz[np.arange(len(xyz)), source]
        truth = home[:, None] + (frame - source[:, None])[..., None] * velocity
        assert np.abs(xyz - truth).max() < 1e-4
    for i in range(len(world)):
        uv = project(world, i, tracks["xyz"][:, i]) * np.divide(ORIGINAL, (W, H))
        assert np.abs(tracks["uv"][:, i] - uv).max() < 1e-3
    assert tracks["visible"][tracks["source_frame"] == 0, 0].all()
    assert tracks["original_size"].tolist() == list(ORIGINAL)
    assert np.array_equal(tracks["times"], world.times)


def test_the_table_holds_the_same(world: Scene, tmp_path: Path) -> None:
    with np.load(world.export(tmp_path / "a.tracks.npz", max_points=60)) as read:
        tracks = {name: read[name] for name in read.files}
    with world.export(tmp_path / "a.csv", max_points=60).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60 * len(world)
    table = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    track, frame = table["track"].astype(int), table["frame"].astype(int)
    assert np.array_equal(np.unique(track), np.arange(60))
    assert np.allclose(table["time"], world.times[frame])
    xyz = np.stack([table[name] for name in "xyz"], axis=-1)
    uv = np.stack([table["u"], table["v"]], axis=-1)
    assert np.array_equal(xyz.astype(np.float32), tracks["xyz"][track, frame])
    assert np.array_equal(uv.astype(np.float32), tracks["uv"][track, frame])
    assert np.array_equal(table["visible"], tracks["visible"][track, frame])
    assert np.array_equal(table["source_frame"], tracks["source_frame"][track])
    assert np.array_equal(table["dynamic"], tracks["dynamic"][track])


@pytest.mark.parametrize("name", ["a.csv", "a.tracks.npz"])
def test_a_scene_without_points_has_empty_tracks(tmp_path: Path, name: str) -> None:
    written = make_world(1).export(tmp_path / name, max_points=0)
    if name == "a.csv":
        assert written.read_text().startswith("track,frame,time,x,y,z,u,v,visible")
        assert len(written.read_text().splitlines()) == 1
    else:
        with np.load(written) as read:
            assert read["xyz"].shape == (0, 1, 3)
