"""Whatever is wrong ends in one clear line, or in a scene that says what it does not know."""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from commands import Run, finish
from PIL import Image

import worldline

systems = pytest.mark.parametrize("system", ["fake", "classic"])


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out" / "scene"


@pytest.fixture
def video(tmp_path, textured, write_video) -> Path:
    return write_video(tmp_path / "clip.mp4", textured(8))


def assert_nothing_left(out: Path) -> None:
    """Neither a scene nor half of one; `.scene.partial` may hold finished stages."""
    left = {path.name for path in out.parent.iterdir()} if out.parent.exists() else set()
    assert left <= {f".{out.name}.partial"}, left


# The source cannot be read.


def refused(cli: Callable[..., Run], out: Path, source: object, *options: object) -> str:
    run = cli("reconstruct", source, "--out", out, *options)
    assert run.code == 2 and run.out == ""
    assert not out.exists() and not (out.parent / f".{out.name}.partial").exists()
    return run.says()


def test_no_file(cli, out, tmp_path):
    assert "no such file" in refused(cli, out, tmp_path / "none.mp4")


def test_a_directory_without_images(cli, out, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no images" in refused(cli, out, tmp_path / "empty")


def test_a_video_without_its_index(cli, out, video):
    os.truncate(video, video.stat().st_size // 2)
    assert "cut short" in refused(cli, out, video)


def test_a_video_that_ends_early_is_read_as_far_as_it_goes(cli, out, tmp_path, textured):
    path = tmp_path / "early.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "1", "preset": "ultrafast"})
        stream.height, stream.width = 64, 96
        for frame in textured(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    os.truncate(path, path.stat().st_size * 2 // 3)
    run = cli("reconstruct", path, "--out", out, "--system", "fake", "--json")
    assert run.code == 0 and 1 < run.json["kept"] < 8
    assert any("cut short" in warning for warning in run.json["warnings"])


def test_audio_only(cli, out, tmp_path):
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    assert "only sound" in refused(cli, out, path)


def test_tiny_frames(cli, out, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "tiny.png")
    assert "8x8" in refused(cli, out, tmp_path / "tiny.png")


def test_mixed_sizes(cli, out, tmp_path):
    for name, size in (("1.png", (96, 64)), ("2.png", (64, 96))):
        Image.new("RGB", size).save(tmp_path / name)
    assert "differ in size" in refused(cli, out, f"{tmp_path}/*.png")


def test_not_a_video(cli, out, tmp_path):
    (tmp_path / "notes.mp4").write_text("no pixels here\n" * 100)
    refused(cli, out, tmp_path / "notes.mp4")


@pytest.mark.parametrize(
    "options",
    [
        ("--stride", "0"),
        ("--start", "5", "--end", "2"),
        ("--start", "100"),
        ("--focal", "-3"),
        ("--intrinsics", "1,2,3"),
        ("--intrinsics", "none.json"),
        ("--size", "1"),
        ("--system", "magic"),
    ],
)
def test_options_that_make_no_sense(cli, out, video, options):
    refused(cli, out, video, *options)


def test_with_json_the_error_is_an_object(cli, out):
    run = cli("reconstruct", "none.mp4", "--out", out, "--json")
    assert run.code == 2
    assert run.json == {"error": run.says(), "kind": "input"}


# Little or nothing to see: a correct, marked result, or one line.


def test_one_frame_makes_a_scene_whose_depth_is_unknown(cli, out, tmp_path, textured):
    Image.fromarray(textured(1)[0]).save(tmp_path / "still.png")
    run = cli("reconstruct", tmp_path / "still.png", "--out", out)
    assert run.code == 0, run.err
    assert "unknown" in run.out
    scene = worldline.load_scene(out)
    assert len(scene) == 1 and scene.cameras.motion == "unknown"
    assert np.isnan(scene.depth).all()


@pytest.mark.parametrize("black", [False, True])
def test_frames_without_parallax_claim_none(cli, out, tmp_path, textured, write_video, black):
    frames = np.zeros((6, 64, 96, 3), np.uint8) if black else textured(1)[[0, 0]]
    write_video(tmp_path / "same.mp4", frames)
    run = cli("reconstruct", tmp_path / "same.mp4", "--out", out, "--json")
    if run.code == 0:
        assert run.json["camera"] in ("still", "unknown")
        assert run.json["measured"] == 0 and run.json["path_length"] == 0
    else:
        assert run.code == 4 and run.json["kind"] == "reconstruction" and run.says()
        assert_nothing_left(out)


def test_8k_fits_in_4_gb(started, out, tmp_path, textured, write_video):
    big = [np.asarray(Image.fromarray(frame).resize((7680, 4320))) for frame in textured(2)]
    write_video(tmp_path / "8k.mp4", big)
    del big
    run = finish(started("reconstruct", tmp_path / "8k.mp4", "--out", out, "--json"))
    assert run.code in (0, 4), run.err
    if run.code == 0:
        assert run.json["original_size"] == [7680, 4320]
        assert run.json["peak_memory"] < 4e9
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < 4e9


# The run is cut off.


def limit_files(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@systems
@pytest.mark.parametrize("kilobytes", [20, 200])
def test_a_disk_that_fills_up(started, out, video, system, kilobytes):
    options = ("reconstruct", video, "--out", out, "--system", system, "--json")
    run = finish(started(*options, preexec_fn=limit_files(kilobytes * 1000)))
    assert run.code == 3 and run.json["kind"] == "storage"
    assert "nothing was written" in run.says()
    assert_nothing_left(out)


def wait_for(process: subprocess.Popen, stage: str) -> None:
    """Read the progress until `stage` is done."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(f"{stage}:"):
            return
    pytest.fail(f"the command ended before {stage} was done")


def resumed(run: Run) -> dict[str, bool]:
    return {stage["name"]: stage["resumed"] for stage in run.json["stages"]}


def assert_same_scene(one: Path, other: Path) -> None:
    a, b = worldline.load_scene(one), worldline.load_scene(other)
    for name in ("frames", "times", "depth", "confidence", "dynamic"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(a.cameras.world_from_camera, b.cameras.world_from_camera)
    np.testing.assert_array_equal(a.cameras.intrinsics, b.cameras.intrinsics)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_stopped_run_resumes(started, cli, out, video, number, code):
    options = ("reconstruct", video, "--system", "fake", "--json")
    process = started(*options, "--out", out, pause="depth")
    wait_for(process, "light")
    process.send_signal(number)
    run = finish(process)
    assert run.code == code
    if number != signal.SIGKILL:
        assert run.says() == "stopped; run the same command to resume"
        assert run.json["kind"] == "stopped"
    assert_nothing_left(out)

    again = cli(*options, "--out", out)
    assert again.code == 0, again.err
    assert resumed(again) == {"read": True, "light": True, "depth": False}
    assert "light: " in again.err and "kept from the earlier run" in again.err
    assert {path.name for path in out.parent.iterdir()} == {out.name}

    assert cli(*options, "--out", out.with_name("whole")).code == 0
    assert_same_scene(out, out.with_name("whole"))


def test_the_classic_system_resumes_after_a_kill(started, cli, out, video):
    options = ("reconstruct", video, "--json")
    process = started(*options, "--out", out)
    wait_for(process, "read")
    process.kill()
    assert finish(process).code == -9
    assert_nothing_left(out)

    again = cli(*options, "--out", out)
    assert again.code == 0, again.err
    assert resumed(again)["read"]
    assert cli(*options, "--out", out.with_name("whole")).code == 0
    assert_same_scene(out, out.with_name("whole"))


def test_a_second_run_on_the_same_out_is_refused(started, cli, out, video):
    options = ("reconstruct", video, "--out", out, "--system", "fake")
    first = started(*options, pause="light")
    wait_for(first, "read")
    second = cli(*options)
    assert second.code == 2
    assert f"another run (pid {first.pid}) is writing" in second.says()


# The way out is taken already.


def test_what_is_there_is_only_replaced_when_asked_to_be(cli, out, video):
    options = ("reconstruct", video, "--out", out, "--system", "fake")
    assert cli(*options).code == 0
    assert "--overwrite" in (run := cli(*options)).says() and run.code == 2
    assert cli(*options, "--overwrite", "--seed", "1").code == 0
    assert worldline.load_scene(out).provenance["settings"]["seed"] == 1
    shutil.rmtree(out)
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    assert "may be anything" in (run := cli(*options, "--overwrite")).says() and run.code == 2
    assert (out / "thesis.tex").exists()
