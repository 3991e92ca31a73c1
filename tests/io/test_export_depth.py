"""Depth maps read back as what they were: PNG within half a step, EXR exactly."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from worldline.scene import Scene


@pytest.mark.parametrize("scale", [1e-3, 1.0, 5e4])
def test_png_is_exact_to_half_a_step(world: Scene, tmp_path: Path, scale: float) -> None:
    """Whatever the scene's scale, the unit makes good use of the 16 bits."""
    scene = replace(world, depth=world.depth * np.float32(scale))
    folder = scene.export(tmp_path / "d", to="depth-png")
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["files"] == sorted(path.name for path in folder.glob("*.png"))
    assert np.nanmax(scene.depth) / meta["unit"] > 6553
    for i, name in enumerate(meta["files"]):
        steps = np.array(Image.open(folder / name))
        assert steps.dtype == np.uint16
        known = np.isfinite(scene.depth[i])
        assert np.array_equal(steps > 0, known)
        error = np.abs(steps[known] * meta["unit"] - scene.depth[i][known].astype(np.float64))
        assert error.max() <= meta["unit"] / 2 * (1 + 1e-9)


@pytest.mark.parametrize("to", ["depth-png", "depth-exr"])
def test_the_note_unprojects_the_depth_beside_it(world: Scene, tmp_path: Path, to: str) -> None:
    """Its intrinsics fit the pictures, half pixels too, and its poses are world_from_camera."""
    folder = world.export(tmp_path / "d", to=to)
    i, column, row = 2, 33, 7
    if to == "depth-png":
        note = json.loads((folder / "meta.json").read_text())
        depth = np.array(Image.open(folder / note["files"][i]))[row, column] * note["unit"]
    else:
        note = json.loads((folder / "worldline-depth-exr.json").read_text())
        file = OpenEXR.File(str(folder / f"{i:06d}.exr"))
        depth = float(file.channels()["Z"].pixels[row, column])
    ray = np.linalg.inv(note["intrinsics"][i]) @ [column + 0.5, row + 0.5, 1.0]
    point = np.array(note["world_from_camera"][i]) @ [*(ray * depth), 1.0]
    assert np.abs(point[:3] - world.pointmap(i)[row, column]).max() < 1e-4
    assert np.array_equal(note["intrinsics"], world.cameras.intrinsics)
    assert np.array_equal(note["world_from_camera"], world.cameras.world_from_camera)
    assert note["times"] == world.times.tolist()


def test_near_depth_is_never_written_as_unknown(world: Scene, tmp_path: Path) -> None:
    depth = np.full_like(world.depth, 1000.0)
    depth[0, 0, :3] = 1e-3, 0.0, np.inf
    folder = replace(world, depth=depth).export(tmp_path / "d", to="depth-png")
    assert np.array(Image.open(folder / "000000.png"))[0, :3].tolist() == [1, 0, 0]


def test_exr_is_exact(world: Scene, tmp_path: Path) -> None:
    folder = world.export(tmp_path / "d", to="depth-exr")
    assert len(list(folder.glob("*.exr"))) == len(world)
    for i in range(len(world)):
        channels = OpenEXR.File(str(folder / f"{i:06d}.exr")).channels()
        assert list(channels) == ["Z"]
        assert channels["Z"].pixels.dtype == np.float32
        assert np.array_equal(channels["Z"].pixels, world.depth[i], equal_nan=True)


@pytest.mark.parametrize("to", ["depth-png", "depth-exr"])
def test_unsure_depth_is_unknown_where_asked(world: Scene, tmp_path: Path, to: str) -> None:
    folder = world.export(tmp_path / "d", to=to, min_confidence=1.0)
    known = np.isfinite(world.depth[1]) & (world.confidence[1] >= 1)
    if to == "depth-png":
        read = np.array(Image.open(folder / "000001.png")) > 0
    else:
        read = np.isfinite(OpenEXR.File(str(folder / "000001.exr")).channels()["Z"].pixels)
    assert np.array_equal(read, known)
