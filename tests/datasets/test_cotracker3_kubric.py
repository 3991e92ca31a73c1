"""CoTracker3's Kubric folders give the tracks they were made of; their pickles run nothing."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from wall_and_box import Truth, truth

from worldline.datasets import cotracker3_kubric
from worldline.errors import InputError


@pytest.fixture
def scene() -> Truth:
    return truth(3)


@pytest.fixture
def root(tmp_path: Path, scene: Truth) -> Path:
    home = tmp_path / "0042"
    (home / "frames").mkdir(parents=True)
    for k in range(3):
        Image.fromarray(scene.frames[k]).save(home / "frames" / f"{k:03d}.png")
    tracks = scene.tracks()
    uv = tracks.uv.astype(np.float32)
    uv[3, 2] = [-4, 5]
    content = {"coords": uv, "visibility": ~tracks.visible}
    np.save(home / "0042.npy", np.array(content, dtype=object), allow_pickle=True)
    return tmp_path


def test_tracks_and_frames_are_the_scenes(root: Path, scene: Truth) -> None:
    assert cotracker3_kubric.names(root) == ["0042"]
    clip = cotracker3_kubric.read(root, "0042")
    tracks, wanted = clip.tracks, scene.tracks()
    assert tracks is not None and tracks.uv is not None
    np.testing.assert_array_equal(clip.frames, scene.frames)
    np.testing.assert_allclose(tracks.uv[:3], wanted.uv[:3], atol=1e-5)
    visible = wanted.visible.copy()
    visible[3, 2] = False  # it is outside of the picture, whatever the file says
    np.testing.assert_array_equal(tracks.visible, visible)
    assert clip.depth is None and clip.intrinsics is None and not clip.metric
    assert cotracker3_kubric.problems(root) == []
    part = cotracker3_kubric.read(root, "0042", frames=[2])
    assert part.frame_names == ("002",) and part.tracks is not None
    np.testing.assert_array_equal(part.tracks.visible, visible[:, 2:])


class Program:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("made-by-a-pickle",)


def test_a_pickle_with_a_program_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = np.array({"coords": Program()}, dtype=object)
    np.save(root / "0042" / "0042.npy", content, allow_pickle=True)
    with pytest.raises(InputError, match=r"0042\.npy: cannot be read .*only arrays are loaded"):
        cotracker3_kubric.read(root, "0042")
    assert not (tmp_path / "made-by-a-pickle").exists()


def test_what_is_missing_or_broken_is_named(root: Path) -> None:
    np.save(root / "0042" / "0042.npy", np.zeros(3))
    with pytest.raises(InputError, match="not a dictionary"):
        cotracker3_kubric.read(root, "0042")
    (root / "0042" / "0042.npy").unlink()
    assert cotracker3_kubric.problems(root) == [f"{root}/0042/0042.npy: is missing"]
    with pytest.raises(InputError, match=r"0042\.npy: is missing"):
        cotracker3_kubric.read(root, "0042")
