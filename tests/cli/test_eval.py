"""`worldline eval` from end to end on a folder of clips, and what it says to bad input."""

import json

import numpy as np
import pytest
from PIL import Image

from worldline.cli import main
from worldline.synth.clips import make_clip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two clips in the plain layout; the second has frames of which no scene can be made."""
    root = tmp_path_factory.mktemp("clips")
    clip = make_clip(3, "static", size=(96, 72), frames=8)
    good, bad = root / "good", root / "bad"
    for folder in (good, bad):
        (folder / "frames").mkdir(parents=True)
    for i, frame in enumerate(clip.views.frames):
        Image.fromarray(frame).save(good / "frames" / f"{i:05d}.png")
    cameras = clip.scene.cameras
    np.savez(
        good / "cameras.npz",
        K=np.asarray(cameras.intrinsics, np.float64),
        c2w=np.asarray(cameras.world_from_camera, np.float64),
    )
    for i in range(3):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(bad / "frames" / f"{i:05d}.png")
    return root


def test_a_folder_of_clips_is_measured_once_and_failures_are_told(data, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["eval", "--data", str(data), "--out", str(out), "--json"]
    assert main([*arguments, "--only", "good"]) == 0
    said = capsys.readouterr()
    (row,) = json.loads(said.out)["rows"]
    assert row["system"] == "classic" and row["clips"] == 1
    assert np.isfinite(row["focal_error_percent"]["mean"])
    assert "good, classic" in said.err
    assert (out / "sheets/classic/good.png").is_file() and (out / "report.html").is_file()
    before = (out / "results.json").read_bytes()
    assert main([*arguments, "--only", "good", "--quiet"]) == 0
    assert (out / "results.json").read_bytes() == before
    assert not capsys.readouterr().err
    assert main(arguments) == 1  # the other clip fails
    said = capsys.readouterr()
    assert json.loads(said.out)["rows"][0]["clips"] == 1 and "bad, classic" in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say what to measure on"),
        (["--benchmark", "nothing"], "no benchmark 'nothing'"),
        (["--benchmark", "sintel-poses"], "needs its data"),
        (["--benchmark", "synth-bench", "--only", "nothing"], "no clip is called nothing"),
        (["--data", "/nowhere"], "is no folder"),
        (["--benchmark", "synth-bench", "--limit", "1", "--system", "magic"], "no system 'magic'"),
    ],
)
def test_bad_input_gets_one_clear_line(arguments, words, tmp_path, capsys):
    assert main(["eval", *arguments, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err.strip()
    assert words in said and "\n" not in said
