"""Our RANSAC alignment of tracks beside 4RC's, on one set of tracks: times, their ratio, both APDs.

python benchmarks/speed_worldtrack.py --fourrc DIR    # a checkout of Luo-Yihang/4RC

Needs tqdm, which the published code draws its progress with; it is kept quiet.
"""

import contextlib
import importlib.util
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import tyro

from worldline.evaluation.metrics.worldtrack import world_track_errors

INTRINSICS = np.array([500.0, 500.0, 256.0, 256.0])  # asked for, and without influence


def main(
    fourrc: Path, frames: int = 64, tracks: int = 4096, outliers: float = 0.3, repeats: int = 9
) -> None:
    """Prints the shortest time of each, and the APD and EPE of its last run."""
    estimate, truth = noisy_tracks(frames, tracks, outliers)
    published = load_published(fourrc).compute_average_pts_within_thresh

    def theirs() -> tuple[float, float]:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            result = published(truth, estimate, "sim3", INTRINSICS)
        return float(result[0]), float(result[-1])

    def ours() -> tuple[float, float]:
        errors = world_track_errors(estimate, truth, "sim3")
        return errors.apd, errors.epe

    # in turn, so that both meet the same load of the machine
    timings = [(_timed(theirs), _timed(ours)) for _ in range(repeats)]
    their_time, our_time = (min(run[side][0] for run in timings) for side in (0, 1))
    (_, their_numbers), (_, our_numbers) = timings[-1]
    print(f"{frames} frames x {tracks} tracks, {outliers:.0%} outliers")
    print(f"theirs {their_time:.4f} s  APD {their_numbers[0]:.6f}  EPE {their_numbers[1]:.6f}")
    print(f"ours   {our_time:.4f} s  APD {our_numbers[0]:.6f}  EPE {our_numbers[1]:.6f}")
    apart = abs(their_numbers[0] - our_numbers[0])
    print(f"theirs / ours {their_time / our_time:.1f}  APDs {apart:.1e} apart")


def noisy_tracks(frames: int, tracks: int, outliers: float) -> tuple[np.ndarray, np.ndarray]:
    """Points in front of a camera, and themselves turned, moved, scaled, noisy and partly lost."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(1, tracks, 3)) * (2, 1, 2) + (0, 0, 6)
    truth = truth + np.cumsum(0.01 * rng.normal(size=(frames, tracks, 3)), axis=0)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    estimate = (truth - (0.2, -0.1, 0.4)) @ rotation / 1.7 + 0.01 * rng.normal(size=truth.shape)
    lost = rng.random(truth.shape[:2]) < outliers
    estimate[lost] += rng.normal(size=(lost.sum(), 3))
    return estimate, truth


def load_published(fourrc: Path) -> ModuleType:
    """4RC's ``track_eval_util``, which needs nothing else of its repository."""
    file = fourrc / "eval" / "track" / "track_eval_util.py"
    spec = importlib.util.spec_from_file_location("track_eval_util", file)
    if spec is None or spec.loader is None or not file.is_file():
        sys.exit(f"There is no {file}; give a checkout of Luo-Yihang/4RC.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _timed(run: Callable[[], tuple[float, float]]) -> tuple[float, tuple[float, float]]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    tyro.cli(main)
