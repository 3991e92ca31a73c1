"""No format replaces what it may not, and each can replace its own."""

from pathlib import Path

import pytest

from worldline.errors import InputError
from worldline.io.exports import FORMATS
from worldline.scene import Scene

OURS = ("ply-frames", "colmap", "nerfstudio", "tum", "depth-png", "depth-exr", "flow")


@pytest.mark.parametrize("to", [*OURS, "tracks-csv", "tracks-npz"])
def test_overwriting_is_asked_for(world: Scene, tmp_path: Path, to: str) -> None:
    path = world.export(tmp_path / f"out{FORMATS[to].ending}", to=to)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="exists already; pass overwrite=True"):
        world.export(path, to=to)
    world.export(path, to=to, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("to", [to for to in OURS if not FORMATS[to].ending])
def test_a_folder_of_something_else_is_never_replaced(
    world: Scene, tmp_path: Path, to: str
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="it may be anything"):
        world.export(tmp_path / "mine", to=to, overwrite=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.tex"]
