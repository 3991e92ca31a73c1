"""`worldline view`: what it writes, serves and refuses."""

import json
import urllib.request

import pytest


@pytest.fixture
def stored(cli, tmp_path, textured, write_video):
    video = write_video(tmp_path / "clip.mp4", textured(3))
    assert cli("reconstruct", video, "--out", tmp_path / "s", "--system", "fake").code == 0
    return tmp_path / "s"


def test_a_missing_scene_is_one_line(cli, tmp_path):
    run = cli("view", tmp_path / "none")
    assert run.code == 2 and "none" in run.says() and run.out == ""


@pytest.mark.parametrize(
    "options", [("--host", "no such host"), ("--port", "99999"), ("--max-points", "0")]
)
def test_options_that_make_no_sense(cli, stored, options):
    run = cli("view", stored, *options)
    assert run.code == 2 and run.says() and run.out == ""


def test_the_page_is_written(cli, stored, tmp_path):
    run = cli("view", stored, "--export", tmp_path / "page.html", "--json")
    assert run.code == 0, run.err
    assert run.json == {"page": str(tmp_path / "page.html")}
    assert "<canvas" in (tmp_path / "page.html").read_text()


def test_it_serves_on_this_machine_until_it_is_stopped(started, stored):
    process = started("view", stored, "--json", "--port", "18080")
    url = json.loads(process.stdout.readline())["url"]
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url, timeout=10) as page:
        assert page.status == 200
    process.terminate()
    assert process.wait(timeout=20) == 143


def test_reconstruct_can_look_at_once(started, stored, tmp_path):
    options = ("--out", tmp_path / "t", "--system", "fake", "--view")
    process = started("reconstruct", tmp_path / "clip.mp4", *options)
    line = next(line for line in process.stdout if "http://" in line)
    assert "127.0.0.1" in line and (tmp_path / "t").is_dir()
    process.terminate()
    assert process.wait(timeout=20) == 143


def test_two_scenes_are_compared_and_then_shown(started, stored):
    process = started("compare", stored, stored, "--view")
    lines = iter(process.stdout)
    numbers = [next(lines) for _ in range(10)]
    assert any(line.startswith("moving") for line in numbers)
    url = next(line for line in lines if "http://" in line).split()[1]
    with urllib.request.urlopen(url, timeout=10) as page:
        assert page.status == 200
    process.terminate()
    assert process.wait(timeout=20) == 143
