"""Stages run once, come back from the disk, and never mix with another run's."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from worldline.errors import InputError, ReconstructionError, StorageError
from worldline.systems import stages as module_of_stages
from worldline.systems.stages import Stages


class Log:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple] = []

    def stage_started(self, name: str) -> None:
        self.told.append(("started", name))

    def stage_progress(self, name: str, done: int, total: int | None) -> None:
        self.told.append(("progress", name, done, total))

    def stage_finished(self, name: str, seconds: float, resumed: bool) -> None:
        self.told.append(("finished", name, resumed))


class Work:
    """Makes arrays and counts how often it did."""

    def __init__(self, value: float = 1.0) -> None:
        self.value, self.made = value, 0

    def __call__(self, report: Callable) -> dict[str, np.ndarray]:
        self.made += 1
        report(1, 2)
        return {"a": np.full((2, 3), self.value, np.float32), "b": np.array([True])}


class StoppedError(Exception):
    """Stands for a kill: unlike a WorldlineError, it leaves the folder."""


def stop_after(folder: Path, *names: str, key: str = "k") -> None:
    """Finish the named stages, then stop."""
    with pytest.raises(StoppedError), Stages(folder, key) as stages:
        for name in names:
            stages.run(name, Work())
        raise StoppedError


def test_without_a_folder_nothing_is_written_and_arrays_are_read_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = Log()
    with Stages(listener=log) as stages:
        arrays = stages.run("flow", Work())
    assert arrays["a"].shape == (2, 3) and not arrays["a"].flags.writeable
    assert log.told == [
        ("started", "flow"),
        ("progress", "flow", 1, 2),
        ("finished", "flow", False),
    ]
    assert stages.times[0].seconds >= 0
    assert list(tmp_path.iterdir()) == []


def test_finished_stages_come_back_with_the_seconds_they_took(tmp_path):
    folder = tmp_path / ".x.partial"
    with pytest.raises(StoppedError), Stages(folder, "k") as first:
        made = first.run("flow", Work(3.0))
        raise StoppedError
    work, log = Work(9.0), Log()
    with Stages(folder, "k", log) as second:
        kept = second.run("flow", work)
        assert work.made == 0
        assert log.told == [("started", "flow"), ("finished", "flow", True)]
        assert second.times[0].resumed and second.times[0].seconds == first.times[0].seconds
        for name, array in made.items():
            assert kept[name].dtype == array.dtype
            np.testing.assert_array_equal(kept[name], array)
            assert not kept[name].flags.writeable and not array.flags.writeable
    assert not folder.exists()


def test_another_key_discards_all_stages(tmp_path):
    stop_after(tmp_path / "w", "flow", "masks")
    work = Work()
    with Stages(tmp_path / "w", "other") as stages:
        assert not list((tmp_path / "w").glob("*.safetensors"))
        stages.run("flow", work)
    assert work.made == 1


def test_a_stage_that_is_made_again_discards_those_after_it(tmp_path):
    stop_after(tmp_path / "w", "flow", "masks")
    (tmp_path / "w" / "flow.json").unlink()
    flow, masks = Work(), Work()
    with Stages(tmp_path / "w", "k") as stages:
        stages.run("flow", flow)
        stages.run("masks", masks)
    assert (flow.made, masks.made) == (1, 1)


@pytest.mark.parametrize("damage", ["truncated", "missing", "note"])
def test_a_damaged_stage_is_made_again(tmp_path, damage):
    stop_after(tmp_path / "w", "flow")
    arrays = tmp_path / "w" / "flow.safetensors"
    if damage == "truncated":
        os.truncate(arrays, 100)
    elif damage == "missing":
        arrays.unlink()
    else:
        (tmp_path / "w" / "flow.json").write_text('{"key": ')
    work = Work(5.0)
    with Stages(tmp_path / "w", "k") as stages:
        assert stages.run("flow", work)["a"][0, 0] == 5.0
    assert work.made == 1


def test_half_written_files_of_a_killed_run_are_removed(tmp_path):
    stop_after(tmp_path / "w", "flow")
    half = tmp_path / "w" / ".masks.safetensors.partial-1"
    half.write_bytes(b"x")
    with Stages(tmp_path / "w", "k") as stages:
        assert not half.exists()
        stages.run("flow", Work())


@pytest.mark.parametrize("error", [InputError("no"), ReconstructionError("no")])
def test_errors_that_would_come_again_leave_nothing(tmp_path, error):
    with pytest.raises(type(error)), Stages(tmp_path / "w", "k") as stages:
        stages.run("flow", Work())
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_finished_no_stage_leaves_nothing(tmp_path):
    stop_after(tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_storage_error_and_keeps_finished_stages(tmp_path, monkeypatch):
    def refuse(path: Path, arrays: dict) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="disk is full"), Stages(tmp_path / "w", "k") as stages:
        stages.run("flow", Work())
        monkeypatch.setattr(module_of_stages, "write_arrays", refuse)
        stages.run("masks", Work())
    names = {path.name for path in (tmp_path / "w").iterdir()}
    assert names == {"flow.json", "flow.safetensors", "lock"}


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        Stages(tmp_path / "file" / "w", "k")


def test_a_second_run_is_refused_while_the_first_one_lives(tmp_path):
    hold = (
        "import sys, time; from pathlib import Path; from worldline.systems.stages import Stages\n"
        "Stages(Path(sys.argv[1]), 'k'); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "w")], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=rf"another run \(pid {other.pid}\) is writing"):
            Stages(tmp_path / "w", "k")
        assert (tmp_path / "w").exists()
        other.kill()
        other.wait()
    with Stages(tmp_path / "w", "k"):
        pass
    assert not (tmp_path / "w").exists()


def test_names_are_plain_and_used_once():
    with Stages() as stages:
        stages.run("flow", Work())
        for name in ("flow", "../flow", "", "Flow"):
            with pytest.raises(ValueError, match="stage name"):
                stages.run(name, Work())
