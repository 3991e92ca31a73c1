"""How many frames a second the procedural worlds give: ``python benchmarks/synth.py``.

Worlds of primitives (11 solids) and a mix (with a torus, a blend, two deforming bodies and
terrain), with shadows, at four sizes; and how the time is split. CPU seconds are also printed
because other work may share the cores.
"""

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from worldline.synth import trees
from worldline.synth.render import render
from worldline.synth.truth import displacement, pointmap, visible

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "synth"))
import zoo

SIZES = ((64, 64), (128, 96), (224, 168), (504, 378))
MARCHED = ("starting blend", "twisting body", "walking body", "swaying torus", "terrain")


def worlds(mix: bool, device: str):
    """Three worlds: primitives in a room and on the ground, or one on terrain and bodies."""
    names = [name for name in zoo.NAMES if mix or name not in MARCHED]
    world = zoo.world(names)

    if not mix:  # terrain's world has no floor without it: it gets the room
        active = world.active.clone()
        active[1, zoo.NAMES.index("room")] = True
        world = dataclasses.replace(world, active=active)

    return trees.to(trees.to(world, torch.float32), device)


def timed(work: Callable[[], object], device: str, least: float) -> tuple[float, float]:
    """Wall and CPU seconds of one call, the best of several."""
    work()
    best, used = math.inf, math.inf
    end = time.perf_counter() + least
    while time.perf_counter() < end or best == math.inf:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - wall)
        used = min(used, time.process_time() - cpu)
    return best, used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--frames", type=int, default=8, help="frames of each of three worlds")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each number")
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="only the first so many")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} threads")
    print("| worlds | size | frames/s | frames/CPU-s | intersect | shade | truth |")
    print("|---|---|---|---|---|---|---|")
    for mix in (False, True):
        world = worlds(mix, options.device)
        for size in SIZES[: options.sizes]:
            cameras = trees.to(zoo.cameras(options.frames, size), options.device)
            print(row(world, cameras, mix, options), flush=True)


def row(world, cameras, mix: bool, options) -> str:
    """One line of the table; the shares are of the time for a frame with all its truth."""
    work = (options.device, options.seconds)
    whole, cpu = timed(lambda: render(world, cameras), *work)
    bare, _ = timed(lambda: render(world, cameras, colour=False), *work)
    seen = render(world, cameras, colour=False)
    points = pointmap(world, seen, 0, cameras.times[:, -1:])[:, 0].flatten(1, 2)

    def truth() -> None:
        displacement(world, cameras, seen, 0, cameras.times[:, -1:])
        visible(world, cameras.frames([-1]), points)

    each, _ = timed(truth, *work)
    frames = len(cameras)
    truths = each * cameras.times.shape[1]
    total = whole + truths
    shares = (bare / total, (whole - bare) / total, truths / total)
    name = f"{'mix' if mix else 'primitives'} | {cameras.size[0]}x{cameras.size[1]}"
    numbers = f"{frames / whole:.0f} | {frames / cpu:.0f}"
    return f"| {name} | {numbers} | " + " | ".join(f"{share:.0%}" for share in shares) + " |"


if __name__ == "__main__":
    main()
