import pytest

from demo_scene import demo_scene
from worldline.scene import Scene


@pytest.fixture(scope="session")
def scene() -> Scene:
    return demo_scene()
