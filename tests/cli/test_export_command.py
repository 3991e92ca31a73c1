"""`worldline export` writes what was asked for, where it was asked for, and tells what lacks."""

from dataclasses import replace

import numpy as np
import pytest

import worldline


@pytest.fixture
def stored(cli, textured, write_video, tmp_path):
    """A scene of six frames, of which the second has an interpolated camera."""
    cli(
        "reconstruct",
        write_video(tmp_path / "a.mp4", textured(6)),
        "--system",
        "fake",
        "--out",
        tmp_path / "a.scene",
    )
    scene = worldline.load_scene(tmp_path / "a.scene")
    cameras = replace(scene.cameras, registered=np.arange(6) != 1)
    replace(scene, cameras=cameras).save(tmp_path / "b.scene")
    return tmp_path / "b.scene"


def test_formats_lie_beside_the_scene_and_tell_of_frames_left_out(cli, stored, tmp_path):
    run = cli("export", stored, "--to", "depth-png", "tum", "nerfstudio", "--quiet")
    assert run.code == 0 and run.err == ""
    lines = [line.split(maxsplit=1) for line in run.out.splitlines()]
    paths = {"depth-png": "b.depth-png", "tum": "b.txt", "nerfstudio": "b.nerfstudio"}
    assert lines[:3] == [[name, str(tmp_path / path)] for name, path in paths.items()]
    assert all((tmp_path / path).exists() for path in paths.values())
    assert len(lines) == 4 and lines[3][0] == "note"
    assert lines[3][1].startswith("1 of 6 frames are left out of tum, nerfstudio: ")


def test_nothing_is_noted_where_nothing_is_left_out(cli, stored, tmp_path):
    run = cli("export", stored, "--to", "depth-png", "--out", tmp_path / "out")
    assert run.out.split() == ["depth-png", str(tmp_path / "out" / "b.depth-png")]
    run = cli("export", stored, "--to", "tum", "--json")
    assert run.json == {"tum": str(tmp_path / "b.txt")}


def test_a_format_that_there_is_not_is_told(cli, stored):
    run = cli("export", stored, "--to", "abc")
    assert run.code == 2 and "there is no format 'abc'" in run.says()
