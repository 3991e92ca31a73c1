"""How many frames a second the procedural worlds give.

    python benchmarks/synth.py [--device cuda] [--batch 8] [--frames 8] [--sizes 4]

For random worlds of primitives and for the training mix (with deforming bodies and terrain), with
shadows, at four sizes. The shares are of the time for a frame with its displacement to another
frame and the visibility there, of every pixel. CPU seconds are what to go by where other work
shares the cores.
"""

import argparse
import math
import time
from collections.abc import Callable

import torch

from worldline.synth.camera import Cameras
from worldline.synth.generator import MIXES, generate
from worldline.synth.render import render
from worldline.synth.truth import displacement, pointmap, visible
from worldline.synth.world import World

SIZES = ((64, 64), (128, 96), (224, 168), (504, 378))


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=8, help="worlds")
    parser.add_argument("--frames", type=int, default=8, help="of each world")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each number")
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="only the first so many")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} threads")
    print("| worlds | size | made, ms/world | frames/s | frames/CPU-s | cast | shade | truth |")
    print("|---|---|---|---|---|---|---|---|")
    for mix in ("primitives", "train"):
        for size in SIZES[: options.sizes]:
            print(row(mix, size, options), flush=True)


def row(mix: str, size: tuple[int, int], options: argparse.Namespace) -> str:
    """One line of the table."""
    made, _ = timed(lambda: worlds(mix, size, options), options)
    world, cameras = worlds(mix, size, options)
    whole, cpu = timed(lambda: render(world, cameras), options)
    bare, _ = timed(lambda: render(world, cameras, colour=False), options)
    seen = render(world, cameras, colour=False)

    def truth() -> None:
        last = cameras.times[:, -1:]
        displacement(world, cameras, seen, 0, last)
        points = pointmap(world, seen, 0, last)[:, 0].flatten(1, 2)
        visible(world, cameras.frames([-1]), points)

    truths = timed(truth, options)[0] * options.frames
    total = whole + truths
    shares = (bare / total, (whole - bare) / total, truths / total)
    numbers = [1000 * made / options.batch, len(cameras) / whole, len(cameras) / cpu]
    cells = [mix, f"{size[0]}x{size[1]}", f"{numbers[0]:.1f}", *(f"{n:.0f}" for n in numbers[1:])]
    return "| " + " | ".join([*cells, *(f"{share:.0%}" for share in shares)]) + " |"


def worlds(mix: str, size: tuple[int, int], options: argparse.Namespace) -> tuple[World, Cameras]:
    """The first worlds of the training split."""
    seeds = range(options.batch)
    return generate(seeds, MIXES[mix], size=size, frames=options.frames, device=options.device)


def timed(work: Callable[[], object], options: argparse.Namespace) -> tuple[float, float]:
    """Wall and CPU seconds of one call, the best of several."""
    work()
    best, used = math.inf, math.inf
    end = time.perf_counter() + options.seconds
    while time.perf_counter() < end or best == math.inf:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        if options.device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - wall)
        used = min(used, time.process_time() - cpu)
    return best, used


if __name__ == "__main__":
    main()
