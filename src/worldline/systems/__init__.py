"""Systems: what turns a clip into a Scene. Names load on first use; listing systems is cheap."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldline.systems.job import reconstruct
    from worldline.systems.listener import StageListener
    from worldline.systems.registry import SYSTEMS, System
    from worldline.systems.stages import Stages

_HOME = {
    "SYSTEMS": "worldline.systems.registry",
    "StageListener": "worldline.systems.listener",
    "Stages": "worldline.systems.stages",
    "System": "worldline.systems.registry",
    "reconstruct": "worldline.systems.job",
}

__all__ = ["SYSTEMS", "StageListener", "Stages", "System", "reconstruct"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'worldline.systems' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
