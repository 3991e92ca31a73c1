from collections.abc import Iterator

import jaxtyping
import pytest
from scene_world import make_scene

from worldline.scene import Scene


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def as_users_run_it() -> Iterator[None]:
    """Without the tests' run-time type checks, so that our own refusals answer."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
