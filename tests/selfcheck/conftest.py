"""Scenes of a textured wall, of which exactly one thing is wrong."""

import pytest
from wall_world import WALLS, wall

from worldline.scene import Scene


@pytest.fixture(scope="session")
def good() -> Scene:
    return wall()


@pytest.fixture(params=WALLS)
def doubtful(request) -> tuple[str, Scene]:
    """The name of a finding, and a scene that it alone fits."""
    return request.param, WALLS[request.param]()
