"""No format replaces what it may not, and each takes a scene with next to nothing in it."""

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
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="it may be anything"):
        world.export(tmp_path / "mine", to=to, overwrite=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.tex"]


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
