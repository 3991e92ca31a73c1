"""How long depth errors of a clip take: ours beside CUT3R's evaluator, in one run.

    python benchmarks/speed_depth.py --cut3r DIR    # a checkout of CUT3R/CUT3R; needs tqdm

Theirs fits scale and shift by a thousand small steps, and scales in a different way; ours are the
exact least absolute deviations, so only the unaligned numbers are the same.
"""

import argparse
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

from worldline.evaluation.metrics.depth import Alignment, depth_errors

FITS: dict[Alignment, dict[str, bool]] = {  # ours, and the switch of theirs
    "none": {"metric_scale": True},
    "scale": {"align_with_scale": True},
    "scale_shift": {"align_with_lad2": True},
    "median": {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cut3r", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    sys.path.insert(0, str(options.cut3r / "eval" / "video_depth"))
    published = import_module("tools").depth_evaluation
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 60, (options.frames, 240, 320)).astype(np.float32)
    estimate = (0.5 * truth * rng.lognormal(sigma=0.1, size=truth.shape) + 0.3).astype(np.float32)
    for alignment, switch in FITS.items():
        runs = [
            (
                timed(lambda a=alignment: depth_errors(estimate, truth, alignment=a).abs_rel),
                timed(
                    lambda s=switch: float(
                        published(torch.tensor(estimate), torch.tensor(truth), max_depth=None, **s)[
                            0
                        ]["Abs Rel"]
                    )
                ),
            )
            for _ in range(options.repeats)
        ]
        (own, found), (their, expected) = (min(side) for side in zip(*runs, strict=True))
        print(
            f"{alignment}: AbsRel ours {found:.5f}, theirs {expected:.5f}; "
            f"{own:.3f} s, {their:.3f} s, {their / own:.1f} times as fast"
        )


def timed(work: Callable[[], float]) -> tuple[float, float]:
    """Seconds, and what came of it."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
