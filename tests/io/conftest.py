"""What tests of reading and writing share: real clips beside the repository, a world to export."""

from pathlib import Path

import pytest
from export_world import make_world

from worldline.scene import Scene

REAL_DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip("the real clips do not lie beside this repository")
    return REAL_DATA


@pytest.fixture
def world() -> Scene:
    return make_world()
