"""Where the disk refuses, every export says so in one line, and all is as it was before."""

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from moving_scene import make_scene

from worldline.errors import StorageError
from worldline.io.exports import FORMATS

# Some libraries write files themselves, each with its own way to fail: the real one is tried.
PATHS = [(name, f"a{form.ending}") for name, form in FORMATS.items()] + [("usd", "a.usda")]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel refuses to write more to a file, with EFBIG instead of a full disk's ENOSPC."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("size", [0, 150])
@pytest.mark.parametrize(("name", "path"), PATHS)
def test_nothing_is_left_of_what_could_not_be_written(
    tmp_path: Path, name: str, path: str, size: int
) -> None:
    """Neither at once nor after a while; and what an earlier export wrote is untouched."""
    scene = make_scene()
    scene.export(tmp_path / path, name)
    before = contents(tmp_path)
    for target in (tmp_path / path, tmp_path / f"new_{path}"):
        with (
            files_of_at_most(size),
            pytest.raises(StorageError, match=r"ulimit -f\) allows; nothing was written$") as told,
        ):
            scene.export(target, name, overwrite=True)
        assert len(str(told.value).splitlines()) == 1
        assert str(told.value).startswith(f"{target}: ")
    assert contents(tmp_path) == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["colmap", "depth-exr"])
def test_room_is_looked_for_where_a_library_would_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(StorageError, match=r"disk is full: .* nothing was written"):
        make_scene().export(tmp_path / "a", name)
    assert not list(tmp_path.iterdir())
