"""Our camera errors beside those of evo, on random trajectories: how far apart, how fast.

Development only: needs evo (GPL-3, nothing of it is kept here) beside worldline, for example in an
environment of its own: `pip install evo`, then `python benchmarks/agree_evo.py`.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
from evo import main_ape, main_rpe
from evo.core.metrics import PoseRelation, Unit
from evo.core.trajectory import PosePath3D
from scipy.spatial.transform import Rotation

from worldline.evaluation.metrics.trajectory import (
    absolute_errors,
    align,
    relative_errors,
    statistics,
)

Numbers = dict[str, dict[str, float]]
ROUNDING = 1e-9  # numbers below, in metres or degrees, are compared as if they were this large


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="trajectories")
    count = parser.parse_args().count
    worst, where, seconds = 0.0, "", np.zeros(2)
    for index, (estimate, truth, delta, all_pairs) in enumerate(trajectories(count)):
        for with_scale in (True, False):
            begin = time.perf_counter()
            ours = our_numbers(estimate, truth, delta, all_pairs, with_scale)
            middle = time.perf_counter()
            theirs = evo_numbers(estimate, truth, delta, all_pairs, with_scale)
            seconds += middle - begin, time.perf_counter() - middle
            gap, name = largest_difference(ours, theirs)
            if gap > worst:
                worst, where = gap, f"{name} of trajectory {index}"
    print(f"{count} trajectories, each with Sim(3) and SE(3) alignment, 21 numbers each time")
    print(f"largest relative difference: {worst:.2e} ({where})")
    print(f"seconds: ours {seconds[0]:.2f}, evo {seconds[1]:.2f}: {seconds[1] / seconds[0]:.1f} x")


def trajectories(count: int) -> Iterator[tuple[np.ndarray, np.ndarray, int, bool]]:
    """Smooth paths of 5 to 500 frames; the estimate has noise, another frame and scale."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        frames = int(rng.integers(5, 500))
        truth = poses(rng, frames, 0.05)
        estimate = truth @ poses(rng, frames, 10 ** rng.uniform(-4, -1), walk=False)
        if seed % 5 == 0:  # a mirror image, which no rotation fits
            estimate[:, 0, 3] *= -1
        estimate = poses(rng, 1, 1.0) @ estimate
        estimate[:, :3, 3] *= 10 ** rng.uniform(-2, 2)
        yield estimate, truth, int(rng.integers(1, 5)), bool(seed % 2)


def poses(rng: np.random.Generator, frames: int, size: float, walk: bool = True) -> np.ndarray:
    steps = size * rng.normal(size=(frames, 6))
    steps = np.cumsum(steps, axis=0) if walk else steps
    matrices = np.tile(np.eye(4), (frames, 1, 1))
    matrices[:, :3, :3] = Rotation.from_rotvec(steps[:, :3]).as_matrix()
    matrices[:, :3, 3] = steps[:, 3:]
    return matrices


def our_numbers(estimate, truth, delta: int, all_pairs: bool, with_scale: bool) -> Numbers:
    aligned = align(estimate, truth, with_scale).poses(estimate)
    translation, rotation = relative_errors(aligned, truth, delta, all_pairs)
    errors = {
        "ape": absolute_errors(aligned, truth)[0],
        "rpe translation": translation,
        "rpe rotation": rotation,
    }
    return {name: asdict(statistics(values)) for name, values in errors.items()}


def evo_numbers(estimate, truth, delta: int, all_pairs: bool, with_scale: bool) -> Numbers:
    def pair() -> tuple[PosePath3D, PosePath3D]:  # evo aligns in place
        return PosePath3D(poses_se3=list(truth)), PosePath3D(poses_se3=list(estimate))

    alignment = {"align": True, "correct_scale": with_scale}
    ape = main_ape.ape(*pair(), pose_relation=PoseRelation.translation_part, **alignment)
    relative = {
        name: main_rpe.rpe(
            *pair(),
            pose_relation=relation,
            delta=delta,
            delta_unit=Unit.frames,
            all_pairs=all_pairs,
            **alignment,
        )
        for name, relation in (
            ("rpe translation", PoseRelation.translation_part),
            ("rpe rotation", PoseRelation.rotation_angle_deg),
        )
    }
    return {name: result.stats for name, result in {"ape": ape, **relative}.items()}


def largest_difference(ours: Numbers, theirs: Numbers) -> tuple[float, str]:
    gaps = [
        (abs(value - theirs[kind][name]) / max(abs(theirs[kind][name]), ROUNDING), f"{kind} {name}")
        for kind, values in ours.items()
        for name, value in values.items()
    ]
    return max(gaps)


if __name__ == "__main__":
    main()
