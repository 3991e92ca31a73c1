"""The systems that make scenes. A new one is one package beside this file and one line here."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from worldline.errors import InputError


@dataclass(frozen=True)
class System:
    """One way to make a Scene.

    revision: changes with whatever changes the results, so that stages which an older revision
        left behind are not resumed.
    loader: "package.module:function", imported when it is first used; the function is
        `(clip: Clip, stages: Stages, *, seed: int) -> Scene`, and takes a network after the stages
        if the system has one.
    weights: published checkpoints that it can use, the best first.
    network: the name of the network that it is made for; None: it needs none.
    cameras: whether it can take its cameras from ray maps too, with `cameras: "head" | "rays"`.
    """

    name: str
    summary: str
    revision: str
    loader: str
    weights: tuple[str, ...] = ()
    network: str | None = None
    cameras: bool = False

    def load(self) -> Callable[..., Any]:
        """Import the system's function."""
        module, _, function = self.loader.partition(":")
        return getattr(importlib.import_module(module), function)


SYSTEMS = {
    system.name: system
    for system in (
        System(
            "classic",
            "optical flow, structure from motion and triangulation; no networks, runs on a CPU",
            "4",
            "worldline.systems.classic:classic",
        ),
        System(
            "4rc",
            "one network encodes the clip once and decodes any motion on demand",
            "1",
            "worldline.systems.arc:arc",
            weights=("4rc", "4rc-geofinetune"),
            network="fourrc",
            cameras=True,
        ),
        System(
            "complet4r",
            "one network gathers all frames' points at any chosen time, occluded ones included",
            "1",
            "worldline.systems.complet4r:complet4r",
            network="complet4r",
        ),
    )
}


def find_system(name: str) -> System:
    """The system of that name. Raises InputError for a name that is not registered."""
    if name not in SYSTEMS:
        raise InputError(f"there is no system {name!r}; there is: {', '.join(sorted(SYSTEMS))}")
    return SYSTEMS[name]
