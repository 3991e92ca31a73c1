"""Plain pycolmap's table, on cameras whose errors are known and pictures that it cannot use."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pycolmap
import pytest

import plain_colmap
from plain_colmap import PlainCameras, ate_percent, cameras_of, focal_error, in_process
from worldline.datasets.clip import Clip
from worldline.errors import InputError


def clip_of(**truth: np.ndarray) -> Clip:
    count = len(next(iter(truth.values()), path()))
    names = tuple(map(str, range(count)))
    return Clip("a", np.zeros((count, 8, 8, 3), np.uint8), names, metric=False, **truth)


def path() -> np.ndarray:
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, :3, 3] = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 1, 0], [2, 1, 4]]  # 7 long
    return poses


def cameras(poses: np.ndarray, registered: list[int]) -> PlainCameras:
    return PlainCameras(poses, np.array(registered, bool), 110.0)


def test_the_path_is_judged_where_it_is_registered_in_percent_of_the_whole():
    poses, truth = path(), clip_of(world_from_camera=path())
    poses[:, :3, 3] *= 3
    assert ate_percent(cameras(poses, [1, 1, 1, 1, 1]), truth) == pytest.approx(0, abs=1e-9)
    poses[4, :3, 3] = 50
    assert ate_percent(cameras(poses, [1, 1, 1, 1, 0]), truth) == pytest.approx(0, abs=1e-9)
    assert np.isnan(ate_percent(cameras(poses, [1, 1, 0, 0, 0]), truth))
    assert np.isnan(ate_percent(cameras(poses, [1, 1, 1, 1, 1]), clip_of()))
    standing = clip_of(world_from_camera=np.tile(np.eye(4), (5, 1, 1)))
    assert np.isnan(ate_percent(cameras(poses, [1, 1, 1, 1, 1]), standing))


def test_ate_after_the_best_scale():
    true = np.tile(np.eye(4), (4, 1, 1))
    true[:, :2, 3] = [[1, 1], [1, -1], [-1, -1], [-1, 1]]  # 6 long
    saddle = true.copy()
    saddle[:, 2, 3] = [1, -1, 1, -1]
    truth = clip_of(world_from_camera=true)
    found = ate_percent(cameras(saddle, [1, 1, 1, 1]), truth)
    assert found == pytest.approx(100 * np.sqrt(2 / 3) / 6)


def test_the_focal_error_is_the_mean_over_axes_and_frames():
    K = np.tile(np.diag([100.0, 110.0, 1.0]), (5, 1, 1))
    found = cameras(path(), [1, 1, 1, 1, 1])
    assert focal_error(found, clip_of(intrinsics=K)) == pytest.approx(5)
    assert np.isnan(focal_error(found, clip_of()))


def test_a_model_s_cameras_are_read_by_the_names_of_the_frames():
    pycolmap.set_random_seed(0)
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig = 1, 1, 4
    model = pycolmap.synthesize_dataset(options)
    known = {image.name: image for image in model.images.values()}
    names = sorted([*known, "a_lost_frame.png"])
    found = cameras_of(model, names)
    assert found.focal == next(iter(model.cameras.values())).focal_length
    assert found.registered.tolist() == [False, True, True, True, True]
    for name, pose in zip(names[1:], found.world_from_camera[1:], strict=True):
        assert pose[:3, 3] == pytest.approx(known[name].projection_center())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two clips of flat pictures, on which nothing can be matched."""
    for name in ("grey", "white"):
        (tmp_path / name / "frames").mkdir(parents=True)
        for i in range(3):
            flat = np.full((32, 48, 3), 128 if name == "grey" else 255, np.uint8)
            cv2.imwrite(str(tmp_path / name / "frames" / f"{i}.png"), flat)
    return tmp_path


def run(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["plain_colmap.py", *map(str, arguments)])
    plain_colmap.main()


def test_what_cannot_be_matched_is_not_registered(data):
    registered, ate, focal = in_process(data, "grey")
    assert registered == 0 and np.isnan(ate) and np.isnan(focal)


def test_the_table_tells_numbers_dashes_and_failures(data, monkeypatch, capsys):
    def measured(data: Path, name: str) -> tuple[float, float, float]:
        if name == "grey":
            raise RuntimeError("the process died")
        return 0.5, 1.234, float("nan")

    monkeypatch.setattr(plain_colmap, "in_process", measured)
    run(monkeypatch, data)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "| clip | registered | ATE, % of the path | focal error, % |",
        "| --- | --- | --- | --- |",
        "| grey | RuntimeError: the process died | - | - |",
        "| white | 50% | 1.23 | - |",
    ]
    run(monkeypatch, data, "--only", "white")
    assert "grey" not in capsys.readouterr().out
    with pytest.raises(InputError, match="no clip is called black; there is: grey, white"):
        run(monkeypatch, data, "--only", "white", "black")
