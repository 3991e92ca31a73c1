"""How many frames a second the procedural worlds give.

    python benchmarks/synth.py [--device cuda] [--compiled] [--batch 8] [--frames 8] [--sizes 4]

For random worlds of primitives and for the training mix (with deforming bodies and terrain), with
shadows, at four sizes. On a CPU a process for each core works at the same time, as the loader
processes of a training do, and their frames are summed. The shares are of the time for a frame with
its displacement to another frame and the visibility there, of every pixel. CPU seconds are what to
go by where other work shares the cores.
"""

import argparse
import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from worldline.synth.camera import Cameras
from worldline.synth.fusion import fusing
from worldline.synth.generator import MIXES, generate
from worldline.synth.render import render
from worldline.synth.truth import displacement, pointmap, visible
from worldline.synth.world import World

SIZES = ((64, 64), (128, 96), (224, 168), (504, 378))
Measured = tuple[float, ...]  # ms a world, frames/s, frames/CPU-s, shares of cast, shade, truth


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compiled", action="store_true", help="fuse the formulas")
    parser.add_argument("--batch", type=int, default=8, help="worlds")
    parser.add_argument("--frames", type=int, default=8, help="of each world")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each number")
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="only the first so many")
    parser.add_argument("--processes", type=int, default=None, help="at a time")
    options = parser.parse_args()
    many = options.processes or (torch.get_num_threads() if options.device == "cpu" else 1)
    print(f"torch {torch.__version__}, {options.device}, {many} processes; {options.compiled=}")
    print("| worlds | size | made, ms/world | frames/s | frames/CPU-s | cast | shade | truth |")
    print("|---|---|---|---|---|---|---|---|")
    with ProcessPoolExecutor(many, mp_context=get_context("spawn")) as pool:
        for mix in ("primitives", "train"):
            for size in SIZES[: options.sizes]:
                running = [pool.submit(measure, mix, size, options) for _ in range(many)]
                print(row(mix, size, [one.result() for one in running]), flush=True)


def row(mix: str, size: tuple[int, int], found: list[Measured]) -> str:
    """One line of the table: the frames of all processes, the rest in the mean."""
    made, rate, thrift, *shares = (sum(column) / len(found) for column in zip(*found, strict=True))
    numbers = [f"{made:.1f}", f"{rate * len(found):.0f}", f"{thrift:.0f}"]
    cells = [mix, f"{size[0]}x{size[1]}", *numbers, *(f"{share:.0%}" for share in shares)]
    return "| " + " | ".join(cells) + " |"


def measure(mix: str, size: tuple[int, int], options: argparse.Namespace) -> Measured:
    """The numbers of one process."""
    torch.set_num_threads(1)
    made, _ = timed(lambda: worlds(mix, size, options), options)
    world, cameras = worlds(mix, size, options)
    with fusing(options.compiled):
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
    return 1000 * made / options.batch, len(cameras) / whole, len(cameras) / cpu, *shares


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
