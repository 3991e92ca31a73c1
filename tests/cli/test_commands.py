"""What the commands print, and how quickly the light ones do."""

import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import worldline
from worldline.cli import failures, main
from worldline.cli.demo import error_lines
from worldline.cli.reconstruct import default_out, parse_intrinsics

VERBS = (
    "reconstruct", "info", "report", "compare", "view", "export", "doctor", "demo", "synth", "data",
    "download",
)  # fmt: skip


@pytest.fixture
def video(tmp_path, textured, write_video) -> Path:
    return write_video(tmp_path / "clip.mp4", textured(6))


@pytest.fixture
def sheets(monkeypatch) -> list[Path]:
    """Where picture sheets were asked for, instead of pictures."""
    asked: list[Path] = []
    monkeypatch.setattr("worldline.io.sheet.write_sheet", lambda scene, path: asked.append(path))
    return asked


def test_help_and_version_load_nothing_heavy():
    code = (
        "import sys; from worldline.cli import main\n"
        "for arguments in ([], ['--version'], *([v, '--help'] for v in sys.argv[1:])):\n"
        "    assert main(arguments) == 0\n"
        "heavy = {'torch', 'numpy', 'cv2', 'av', 'pycolmap', 'scipy', 'PIL', 'viser'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *VERBS], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert f"worldline {worldline.__version__}" in run.stdout
    assert all(verb in run.stdout for verb in VERBS)


@pytest.mark.parametrize("arguments", [["magic"], ["reconstruct"], ["info", "--magic"]])
def test_wrong_usage_exits_with_2(cli, arguments):
    run = cli(*arguments)
    assert run.code == 2 and run.out == "" and run.err


def test_reconstruct_says_what_it_did(cli, video, tmp_path):
    out = tmp_path / "s"
    run = cli("reconstruct", video, "--out", out, "--system", "fake", "--stride", 2)
    assert run.code == 0
    for words in ("kept 3 of 6 frames (stride 2)", "3 of 3 frames registered", "stood still"):
        assert words in run.out
    for words in ("focal length 96 px (a guess)", "measured on", "note      this system is a fake"):
        assert words in run.out
    assert f"scene     {out}" in run.out and "GB at most" in run.out
    assert f"report    {out / 'report.html'}" in run.out
    stages = [line.split(":")[0] for line in run.err.splitlines()]
    assert stages == ["read", "light", "depth", "check", "save"]


def test_quiet_shows_no_progress(cli, video, tmp_path):
    run = cli("reconstruct", video, "--out", tmp_path / "s", "--system", "fake", "--quiet")
    assert run.code == 0 and run.err == "" and "kept 6 of 6" in run.out


def test_json_is_one_strict_object(cli, video, tmp_path, sheets):
    options = ("--out", tmp_path / "s", "--system", "fake", "--json", "--sheet", tmp_path / "s.png")
    run = cli("reconstruct", video, *options)
    facts = json.loads(run.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert facts["focal_sigma"] is None  # the fake's NaN
    assert (facts["kept"], facts["registered"], facts["depth_known"]) == (6, 6, 1.0)
    assert facts["sheet"] == str(tmp_path / "s.png") and sheets == [tmp_path / "s.png"]
    assert cli("info", tmp_path / "s", "--json").json == {
        name: fact for name, fact in facts.items() if name != "sheet"
    }


def test_info_tells_of_a_stored_scene(cli, video, tmp_path):
    cli("reconstruct", video, "--out", tmp_path / "s", "--system", "fake", "--focal", 80)
    run = cli("info", tmp_path / "s")
    assert run.code == 0 and run.err == ""
    for words in ("kept 6 of 6 frames", "span      0.000 to 0.500 s", "setting   focal 80.0"):
        assert words in run.out


@pytest.mark.parametrize("damage", ["absent", "not a scene", "cut"])
def test_info_on_what_is_no_scene(cli, video, tmp_path, damage):
    path = tmp_path / "s"
    if damage == "not a scene":
        path.mkdir()
    if damage == "cut":
        cli("reconstruct", video, "--out", path, "--system", "fake")
        (path / "arrays.safetensors").write_bytes(b"")
    run = cli("info", path)
    assert run.code == (3 if damage == "cut" else 2) and run.says()


def test_doctor_finds_this_machine_well(cli):
    run = cli("doctor", "--json")
    assert run.code == 0, run.out
    assert {check["name"] for check in run.json["checks"]} >= {"python", "torch", "pyav", "store"}
    assert "ok    store" in cli("doctor").out


def test_doctor_says_what_is_missing(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycolmap", None)  # as if it were not installed
    run = cli("doctor")
    assert run.code == 1
    line = next(line for line in run.out.splitlines() if "pycolmap" in line)
    assert line.startswith("WRONG") and "install" in line


def test_demo_of_ones_own_video(cli, video, tmp_path, sheets):
    out = tmp_path / "demo"
    for _ in range(2):  # the second one replaces the first
        run = cli("demo", "--video", video, "--out", out, "--system", "fake")
        assert run.code == 0, run.err
        assert f"picture   {out}.png" in run.out
        assert "truth" not in run.out
    assert sheets == [tmp_path / "demo.png"] * 2


def test_demo_prints_its_errors():
    names = (
        "ate_percent rpe_rotation focal_error_percent depth_absrel_static_measured mask_iou "
        "static_measured_share depth_absrel_moving displacement_epe_moving displacement_epe_zero"
    )
    table = "\n".join(error_lines(types.SimpleNamespace(**dict.fromkeys(names.split(), 0.5))))
    assert "0.50 % of its length" in table and "50.00% of the depth where measured" in table


def test_a_closed_pipe_is_no_error(video, started, tmp_path):
    process = started("doctor")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr is not None and process.stderr.read() == ""


FAILURES: list[tuple[BaseException, str, int]] = [
    (KeyboardInterrupt(), "stopped", 130),
    (failures.Terminated(), "stopped", 143),
    (MemoryError(), "memory", 4),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory", 4),
    (ValueError("a mistake of ours"), "bug", 1),
]


@pytest.mark.parametrize(("error", "kind", "code"), FAILURES)
def test_each_failure_has_its_exit_code(monkeypatch, cli, error, kind, code):
    def fail(path: Path) -> None:
        raise error

    monkeypatch.setattr("worldline.scene.load_scene", fail)
    run = cli("info", "scene", "--json")
    assert run.code == code and run.json["kind"] == kind
    assert ("Traceback" in run.err) == (kind == "bug")
    assert run.err.splitlines()[-1].startswith("worldline: ")


def test_lack_of_memory_says_what_to_do():
    assert "--size" in failures.explain(MemoryError(), resumable=True).message


def test_intrinsics_are_numbers_or_a_path():
    assert parse_intrinsics("500,500,320,240") == (500, 500, 320, 240)
    assert parse_intrinsics("camera.json") == "camera.json"


@pytest.mark.parametrize(
    ("source", "name"),
    [("a/walk.mp4", "walk"), ("shots/*.jpg", "shots"), ("shots/", "shots"), ("a.b.mov", "a.b")],
)
def test_the_scene_is_called_like_its_source(source, name):
    assert default_out(source) == Path(f"{name}.scene")


def test_main_returns_instead_of_exiting(capfd: pytest.CaptureFixture):
    check: Callable[..., int] = main
    assert check(["--version"]) == 0
    assert np.char.startswith(capfd.readouterr().out, "worldline ")
