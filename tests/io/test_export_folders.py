"""No format replaces what it may not, and each takes a scene with next to nothing in it."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from export_world import make_world

from worldline.errors import InputError
from worldline.io.exports import FORMATS
from worldline.scene import Scene

FOLDERS = ("ply-frames", "colmap", "nerfstudio", "depth-png", "depth-exr", "flow")
FILES = ("tum", "tracks-csv", "tracks-npz")


@pytest.mark.parametrize("to", [*FOLDERS, *FILES])
def test_overwriting_is_asked_for(world: Scene, tmp_path: Path, to: str) -> None:
    path = world.export(tmp_path / f"out{FORMATS[to].ending}", to=to)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="exists already; pass overwrite=True"):
        world.export(path, to=to)
    world.export(path, to=to, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("to", FOLDERS)
def test_a_folder_of_something_else_is_never_replaced(
    world: Scene, tmp_path: Path, to: str
) -> None:
    """Not even one that another program made in the same format."""
    mine = world.export(tmp_path / "mine", to=to)
    (mine / f"worldline-{to}.json").unlink()
    before = sorted(mine.rglob("*"))
    with pytest.raises(InputError, match="it may be anything"):
        world.export(mine, to=to, overwrite=True)
    assert sorted(mine.rglob("*")) == before


@pytest.mark.parametrize("to", FOLDERS)
def test_a_folder_tells_its_cameras_and_conventions(world: Scene, tmp_path: Path, to: str) -> None:
    note = json.loads((world.export(tmp_path / "out", to=to) / f"worldline-{to}.json").read_text())
    assert np.array_equal(note["world_from_camera"], world.cameras.world_from_camera)
    assert np.array_equal(note["intrinsics"], world.cameras.intrinsics)
    assert note["times"] == world.times.tolist()
    assert (tuple(note["size"]), tuple(note["original_size"])) == (world.size, world.original_size)
    assert "OpenCV" in note["axes"]


@pytest.mark.parametrize("to", [to for to in (*FOLDERS, *FILES) if to != "flow"])
def test_one_picture_of_unknown_depth_is_a_scene_too(tmp_path: Path, to: str) -> None:
    scene = make_world(1)
    scene = replace(scene, depth=np.full_like(scene.depth, np.nan))
    assert scene.export(tmp_path / f"out{FORMATS[to].ending}", to=to).exists()


def test_a_library_that_is_not_there_is_named(
    world: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "worldline.io.exports.depth_exr", raising=False)
    monkeypatch.setitem(sys.modules, "OpenEXR", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"OpenEXR is needed: pip install 'worldline\[exr\]'"):
        world.export(tmp_path / "out", to="depth-exr")
