"""What the README tells readers to type exists and runs."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

import fake_systems
from worldline.cli import main
from worldline.systems import SYSTEMS

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[list[str]]:
    lines = "\n".join(blocks("sh")).splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith(f"{program} ")]


@pytest.fixture
def clip_here(tmp_path, monkeypatch, textured, write_video) -> Path:
    """A directory with the files that the README speaks of, and a system that is quick."""
    monkeypatch.chdir(tmp_path)
    quick = fake_systems.System("classic", "", "1", "fake_systems:fake")
    monkeypatch.setitem(SYSTEMS, "classic", quick)
    return write_video(tmp_path / "clip.mp4", textured(12))


def test_the_python_blocks_run(clip_here):
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert Path("walk.ply").stat().st_size > 0 and Path("walk.npz").stat().st_size > 0


@pytest.mark.parametrize("arguments", commands("worldline"), ids=" ".join)
def test_the_commands_exist(arguments, capsys):
    _, verb, *options = arguments
    assert main([verb, "--help"]) == 0
    listed = capsys.readouterr().out
    for option in options:
        if option.startswith("--"):
            assert re.search(rf"{option}\b", listed), f"{verb} has no {option}"


def test_the_make_targets_exist():
    for arguments in commands("make"):
        subprocess.run([*arguments, "--dry-run"], cwd=REPOSITORY, check=True, capture_output=True)


def test_the_exit_codes_are_those_of_the_errors():
    from worldline import errors

    table = dict(re.findall(r"^\| (\d) \| (.*?) \|$", README, re.MULTILINE))
    for error in (errors.InputError, errors.StorageError, errors.ReconstructionError):
        assert str(error.exit_code) in table


def test_the_layout_is_the_packages():
    listed = set(re.findall(r"^\| `(\w+)/` \|", README, re.MULTILINE))
    folders = {path.parent.name for path in (REPOSITORY / "src/worldline").glob("*/__init__.py")}
    assert listed == folders
