"""Pictures in: a video, a folder of images or one image becomes a `Clip` at its working size.

Scenes out: `worldline.io.exports`. Names load on first use; listing the formats is cheap.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldline.io.clip import Clip
    from worldline.io.reading import read_clip

_HOME = {"Clip": "worldline.io.clip", "read_clip": "worldline.io.reading"}

__all__ = ["Clip", "read_clip"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'worldline.io' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
