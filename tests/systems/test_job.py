"""`reconstruct`: what it hands to a system, what it records, and what it leaves on the disk."""

import json
from pathlib import Path

import numpy as np
import pytest

import fake_systems
import worldline
from worldline.errors import InputError, ReconstructionError
from worldline.io import read_clip
from worldline.systems import SYSTEMS
from worldline.systems.job import _from_arrays, _to_arrays


@pytest.fixture(autouse=True)
def with_fake_system(monkeypatch):
    monkeypatch.setitem(SYSTEMS, "fake", fake_systems.FAKE)


@pytest.fixture
def video(tmp_path, textured, write_video) -> Path:
    return write_video(tmp_path / "clip.mp4", textured(6))


def arrays_of(scene: worldline.Scene) -> dict[str, np.ndarray]:
    names = ("frames", "times", "depth", "confidence", "dynamic")
    return {name: np.asarray(getattr(scene, name)) for name in names}


def assert_same(one: worldline.Scene, other: worldline.Scene) -> None:
    for name, array in arrays_of(one).items():
        np.testing.assert_array_equal(array, arrays_of(other)[name])
    np.testing.assert_array_equal(one.cameras.world_from_camera, other.cameras.world_from_camera)


def test_saved_and_unsaved_scenes_are_the_same(video, tmp_path):
    scene = worldline.reconstruct(video, system="fake", stride=2)
    saved = worldline.reconstruct(video, system="fake", stride=2, out=tmp_path / "s")
    assert_same(scene, saved)
    assert_same(saved, worldline.load_scene(tmp_path / "s"))
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "s"}


def test_provenance_says_where_a_scene_comes_from(video):
    scene = worldline.reconstruct(video, system="fake", stride=2, seed=3)
    origin = scene.provenance
    assert origin["worldline"] == worldline.__version__
    assert (origin["system"], origin["source"]) == ("fake", "clip.mp4")
    assert (origin["kept"], origin["total"]) == (3, 6)
    assert origin["settings"]["stride"] == 2 and origin["settings"]["seed"] == 3
    assert [stage["name"] for stage in origin["stages"]] == ["read", "light", "depth"]
    assert origin["warnings"][-1] == "this system is a fake"
    assert 1e7 < origin["peak_memory"] < 1e11
    assert "torch" in origin["libraries"]
    assert str(video.parent) not in json.dumps(origin)


def test_the_seed_reaches_the_system(video):
    one, same, other = (
        worldline.reconstruct(video, system="fake", seed=seed).depth for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize("focal", [None, 80.0])
def test_a_clip_survives_the_way_through_arrays(video, focal):
    clip = read_clip(video, focal=focal, size=48)
    back = _from_arrays(_to_arrays(clip))
    np.testing.assert_array_equal(back.frames, clip.frames)
    np.testing.assert_array_equal(back.times, clip.times)
    assert (back.intrinsics is None) == (focal is None)
    assert back.notes == clip.notes and back.original_size == clip.original_size
    assert back.kept_line() == clip.kept_line() and back.fingerprint == clip.fingerprint


def test_what_is_at_out_is_looked_at_before_any_work(video, tmp_path, monkeypatch):
    monkeypatch.setattr("worldline.systems.job.read_clip", None)  # reading would fail
    scene, other = tmp_path / "scene", tmp_path / "other"
    for folder in (scene, other):
        folder.mkdir()
    (scene / "scene.json").write_text("{}")
    with pytest.raises(InputError, match="--overwrite"):
        worldline.reconstruct(video, system="fake", out=scene)
    with pytest.raises(InputError, match="may be anything"):
        worldline.reconstruct(video, system="fake", out=other, overwrite=True)
    assert (scene / "scene.json").read_text() == "{}"


def test_overwriting_replaces_the_scene(video, tmp_path):
    for seed in (0, 1):
        scene = worldline.reconstruct(
            video, system="fake", out=tmp_path / "s", seed=seed, overwrite=True
        )
    assert scene.provenance["settings"]["seed"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "s"}


def stop_in_depth(video: Path, out: Path, monkeypatch, **settings) -> None:
    def stop(name: str, report) -> None:
        if name == "depth":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fake_systems, "_pause", stop)
        worldline.reconstruct(video, system="fake", out=out, **settings)
    assert not out.exists()


def resumed(scene: worldline.Scene) -> dict[str, bool]:
    return {stage["name"]: stage["resumed"] for stage in scene.provenance["stages"]}


def test_a_stopped_run_resumes_and_ends_like_an_unstopped_one(video, tmp_path, monkeypatch):
    stop_in_depth(video, tmp_path / "s", monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr("worldline.systems.job.read_clip", None)  # the frames are kept already
        scene = worldline.reconstruct(video, system="fake", out=tmp_path / "s")
    assert resumed(scene) == {"read": True, "light": True, "depth": False}
    assert_same(scene, worldline.reconstruct(video, system="fake"))


@pytest.mark.parametrize("change", ["setting", "source", "revision"])
def test_a_changed_run_does_not_resume(video, tmp_path, monkeypatch, change, textured, write_video):
    stop_in_depth(video, tmp_path / "s", monkeypatch)
    seed = 1 if change == "setting" else 0
    if change == "source":
        write_video(video, textured(4))
    if change == "revision":
        newer = fake_systems.System("fake", "", "2", "fake_systems:fake")
        monkeypatch.setitem(SYSTEMS, "fake", newer)
    scene = worldline.reconstruct(video, system="fake", out=tmp_path / "s", seed=seed)
    assert not any(resumed(scene).values())


def test_what_a_killed_save_left_is_removed(video, tmp_path):
    dead = tmp_path / ".s.partial-999999999"
    dead.mkdir()
    worldline.reconstruct(video, system="fake", out=tmp_path / "s")
    assert not dead.exists()


def test_failures_leave_nothing_behind(tmp_path, write_video):
    black = write_video(tmp_path / "black.mp4", np.zeros((3, 64, 96, 3), np.uint8))
    with pytest.raises(ReconstructionError):
        worldline.reconstruct(black, system="fake", out=tmp_path / "s")
    with pytest.raises(InputError):
        worldline.reconstruct(tmp_path / "none.mp4", system="fake", out=tmp_path / "s")
    with pytest.raises(InputError, match="classic"):
        worldline.reconstruct(black, system="unknown")
    assert {path.name for path in tmp_path.iterdir()} == {"black.mp4"}
