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
