"""`worldline data check`: what it guesses, what it counts, and its exit codes."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def davis(tmp_path):
    for kind, ending in (("JPEGImages", "jpg"), ("Annotations", "png")):
        for name in ("bear", "camel"):
            for k in range(2):
                file = tmp_path / kind / "480p" / name / f"{k:05d}.{ending}"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.zeros((32, 32), np.uint8)).save(file)
    return tmp_path


def test_a_whole_dataset_is_guessed_and_complete(cli, davis):
    run = cli("data", "check", davis)
    assert run.code == 0 and run.err == ""
    assert "dataset   davis" in run.out and "clips     2" in run.out and "complete" in run.out


def test_what_is_missing_is_named_and_makes_the_exit_code_1(cli, davis):
    lost = davis / "JPEGImages/480p/bear/00001.jpg"
    lost.write_bytes(b"")
    run = cli("data", "check", davis)
    assert run.code == 1 and f"missing   {lost}: is empty" in run.out
    facts = cli("data", "check", davis, "--dataset", "davis", "--json")
    assert facts.code == 1 and facts.json["problems"] == [f"{lost}: is empty"]
    assert facts.json["clips"] == ["bear", "camel"] and facts.json["dataset"] == "davis"


def test_long_lists_are_cut(cli, tmp_path):
    for k in range(30):
        folder = tmp_path / f"scene{k:04d}_00"
        (folder / "color").mkdir(parents=True)
        (folder / "pose").mkdir()
        (folder / "color/0.jpg").touch()
    run = cli("data", "check", tmp_path)
    assert run.code == 1 and "dataset   scannet" in run.out
    assert run.out.count("\n") == 23 and "... and 100 more" in run.out


def test_a_named_dataset_that_is_not_there_is_missing(cli, tmp_path):
    run = cli("data", "check", tmp_path, "--dataset", "sintel")
    assert run.code == 1 and "clips     0" in run.out and "looked for training/final" in run.out


def test_what_cannot_be_guessed_or_is_no_dataset_is_bad_input(cli, tmp_path):
    run = cli("data", "check", tmp_path)
    assert run.code == 2 and "--dataset NAME" in run.says()
    assert cli("data", "check", tmp_path / "nowhere").code == 2
    run = cli("data", "check", tmp_path, "--dataset", "imagenet")
    assert run.code == 2 and "choose from sintel" in run.says()


def npz(file, **more):
    file.parent.mkdir(parents=True, exist_ok=True)
    tracks = more.pop("tracks", np.zeros((2, 3, 3)))
    lens = np.array([9.0, 9.0, 16.0, 16.0])
    seen = np.ones(tracks.shape[:-1], bool)
    jpegs = np.array([b"x", b"y"])
    content = {"images_jpeg_bytes": jpegs, "visibility": seen, "fx_fy_cx_cy": lens, **more}
    np.savez(file, tracks_XYZ=tracks, **content)


def test_layouts_that_are_alike_are_told_apart(cli, tmp_path):
    queries = np.zeros((3, 3))
    npz(tmp_path / "3d/adt/a.npz", queries_xyt=queries)
    npz(tmp_path / "track/adt_mini/a.npz", queries_xyt=queries)
    npz(tmp_path / "track/po_mini/b.npz", extrinsics_w2c=np.tile(np.eye(4), (2, 1, 1)))
    npz(tmp_path / "dense/kubric/c.npz", tracks=np.zeros((2, 4, 4, 3)))
    for place, name in (("3d", "tapvid3d"), ("track", "worldtrack"), ("dense", "kubric_dense")):
        run = cli("data", "check", tmp_path / place)
        assert run.code == 0 and f"dataset   {name}:" in run.out, run.out + run.err
    # a TUM sequence and one of Bonn have the same files
    for name in ("rgbd_dataset_freiburg3_sitting_xyz", "rgbd_bonn_crowd2"):
        folder = tmp_path / name / name
        for kind in ("rgb", "depth"):
            (folder / kind).mkdir(parents=True)
            (folder / kind / "1.0.png").write_bytes(b"x")
            (folder / f"{kind}.txt").write_text(f"1.0 {kind}/1.0.png\n")
        (folder / "groundtruth.txt").write_text("1.0 0 0 0 0 0 0 1\n")
    assert (
        "tum_dynamics" in cli("data", "check", tmp_path / "rgbd_dataset_freiburg3_sitting_xyz").out
    )
    assert "dataset   bonn" in cli("data", "check", tmp_path / "rgbd_bonn_crowd2").out
