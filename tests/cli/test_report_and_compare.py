"""The verbs that tell how far scenes can be trusted, and how far they are from each other."""

from pathlib import Path

import numpy as np
import pytest

import worldline
from worldline.selfcheck import PAGE


@pytest.fixture
def scene(cli, tmp_path, textured, write_video) -> Path:
    video = write_video(tmp_path / "clip.mp4", textured(6))
    assert cli("reconstruct", video, "--out", tmp_path / "s", "--system", "fake").code == 0
    return tmp_path / "s"


def test_a_reconstructed_scene_has_its_page_from_the_start(scene):
    assert {path.name for path in scene.iterdir()} == {
        "scene.json",
        "arrays.safetensors",
        "motion.safetensors",
        PAGE,
    }
    assert "The camera stands still." in (scene / PAGE).read_text(encoding="utf-8")


def test_saving_a_loaded_scene_does_not_need_the_page(scene, tmp_path):
    worldline.load_scene(scene).save(tmp_path / "copy")
    again = worldline.load_scene(tmp_path / "copy")
    np.testing.assert_array_equal(again.depth, worldline.load_scene(scene).depth)
    again.save(scene, overwrite=True)
    assert not (scene / PAGE).exists()  # it was made of what was there before


def test_report_makes_the_same_page_again(cli, scene):
    page = (scene / PAGE).read_text(encoding="utf-8")
    (scene / PAGE).unlink()
    run = cli("report", scene)
    assert run.code == 0 and run.out.startswith("No, not as it is")  # the fake's camera stands
    assert f"report    {scene / PAGE}" in run.out
    assert (scene / PAGE).read_text(encoding="utf-8") == page


def test_report_elsewhere_and_as_json(cli, scene, tmp_path):
    out = tmp_path / "pages" / "page.html"
    found = cli("report", scene, "--out", out, "--json", "--quiet").json
    assert found["report"] == str(out) and out.is_file()
    assert [finding["name"] for finding in found["findings"]] == ["flow", "still", "focal"]


def test_report_of_one_frame(cli, tmp_path, textured, write_video):
    video = write_video(tmp_path / "one.mp4", textured(1))
    run = cli("reconstruct", video, "--out", tmp_path / "one", "--system", "fake")
    assert run.code == 0
    assert "One frame does not tell depth" in (tmp_path / "one" / PAGE).read_text(encoding="utf-8")


def test_report_of_what_is_no_scene(cli, tmp_path):
    run = cli("report", tmp_path / "none", "--quiet")
    assert run.code == 2 and "no scene" in run.says() and not (tmp_path / "none").exists()


def test_compare_with_itself_and_another_seed(cli, scene, tmp_path):
    run = cli("compare", scene, scene)
    assert run.code == 0 and "IoU 1.000" in run.out and "0.00% of the depth" in run.out
    cli(
        "reconstruct",
        tmp_path / "clip.mp4",
        "--out",
        tmp_path / "t",
        "--system",
        "fake",
        "--seed",
        1,
    )
    found = cli("compare", scene, tmp_path / "t", "--json").json
    assert 0 < found["depth_abs_rel"] < 1 and found["same_input"] is True
    assert found["ate_percent"] is None  # the fake's camera stands


def test_compare_of_differing_clips_is_one_line(cli, scene, tmp_path):
    video = tmp_path / "clip.mp4"
    cli("reconstruct", video, "--out", tmp_path / "t", "--system", "fake", "--stride", 2)
    run = cli("compare", scene, tmp_path / "t")
    assert run.code == 2 and "A has 6 frames and B has 3" in run.says()
