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
    network: that it is made for, where no weights of it are published.
    cameras: whether it can take its cameras from ray maps too, with `cameras: "head" | "rays"`.
    trackers: published point trackers that it takes as `tracker`, the best first; it can do
        without.
    """

    name: str
    summary: str
    revision: str
    loader: str
    weights: tuple[str, ...] = ()
    network: str | None = None
    cameras: bool = False
    trackers: tuple[str, ...] = ()

    def load(self) -> Callable[..., Any]:
        """Import the system's function."""
        module, _, function = self.loader.partition(":")
        return getattr(importlib.import_module(module), function)


TRACKER = "cotracker3"  # the network that follows points, for systems that take one
TRACKERS = ("cotracker3-offline", "cotracker3-online")

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
            network="fourrc",
            weights=("4rc", "4rc-geofinetune"),
            cameras=True,
        ),
        System(
            "complet4r",
            "one network gathers all frames' points at any chosen time, occluded ones included",
            "1",
            "worldline.systems.complet4r:complet4r",
            network="complet4r",
        ),
        System(
            "da3",
            "depth and cameras by Depth Anything 3, motion by a point tracker",
            "1",
            "worldline.systems.lifted:lifted",
            network="da3",
            weights=("da3-nested", "da3-giant", "da3-large", "da3-base", "da3-small"),
            cameras=True,
            trackers=TRACKERS,
        ),
        System(
            "vggt",
            "depth and cameras by VGGT, motion by a point tracker",
            "1",
            "worldline.systems.lifted:lifted",
            network="vggt",
            weights=("vggt",),
            trackers=TRACKERS,
        ),
        System(
            "pairwise",
            "a network that sees two frames at a time (DUSt3R's form), all pairs in one world",
            "1",
            "worldline.systems.pairwise:pairwise",
            network="dust3r",
            weights=(
                "monst3r",
                "dust3r-512-dpt",
                "mast3r",
                "dust3r-512-linear",
                "dust3r-224-linear",
            ),
        ),
    )
}


def find_system(name: str) -> System:
    """The system of that name. Raises InputError for a name that is not registered."""
    if name not in SYSTEMS:
        raise InputError(f"there is no system {name!r}; there is: {', '.join(sorted(SYSTEMS))}")
    return SYSTEMS[name]
