"""Our J and F beside DAVIS's own code, our drift beside KITTI's: how far apart, how fast.

Development only: needs scikit-image beside worldline, and checkouts of
github: davisvideochallenge/davis2017-evaluation and Huangying-Zhan/kitti-odom-eval, of which
nothing is kept here: `python benchmarks/agree_davis_kitti.py --davis DIR --kitti DIR`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from worldline.evaluation.metrics.masks import boundary_f_per_frame, iou_per_frame
from worldline.evaluation.metrics.odometry import segment_errors

Numbers = np.ndarray | tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--kitti", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200, help="cases of each")
    arguments = parser.parse_args()
    davis, kitti = published_davis(arguments.davis), published_drift(arguments.kitti)
    compare("J", iou_per_frame, lambda a, b: davis.db_eval_iou(b, a), masks(arguments.count))
    compare(
        "F", boundary_f_per_frame, lambda a, b: davis.db_eval_boundary(b, a), masks(arguments.count)
    )
    compare("drift", lambda a, b: segment_errors(a, b).means(), kitti, paths(arguments.count))


def compare(
    name: str,
    ours: Callable[[np.ndarray, np.ndarray], Numbers],
    theirs: Callable[[np.ndarray, np.ndarray], Numbers],
    cases: Iterator[tuple[np.ndarray, np.ndarray]],
) -> None:
    """Prints the largest difference, absolute, and both times."""
    gaps, seconds = [], np.zeros(2)
    for estimate, truth in cases:
        begin = time.perf_counter()
        found = ours(estimate, truth)
        middle = time.perf_counter()
        expected = theirs(estimate, truth)
        seconds += middle - begin, time.perf_counter() - middle
        gaps.append(np.abs(np.subtract(found, expected)).max())
    print(
        f"{name}: largest difference {max(gaps):.1e} in {len(gaps)} cases; seconds: ours "
        f"{seconds[0]:.2f}, published {seconds[1]:.2f}, ratio {seconds[1] / seconds[0]:.1f}"
    )


def published_davis(checkout: Path) -> ModuleType:
    """DAVIS's metrics, without the rest of its package."""
    sys.path.insert(0, str(checkout / "davis2017"))
    return import_module("metrics")


def published_drift(checkout: Path) -> Callable[[np.ndarray, np.ndarray], tuple[float, float]]:
    """KITTI's average drift: a share, and degrees per metre; its plots need no library here."""
    for name in ("matplotlib", "matplotlib.pyplot"):
        sys.modules.setdefault(name, ModuleType(name))
    sys.modules["matplotlib"].pyplot = sys.modules["matplotlib.pyplot"]  # type: ignore[attr-defined]
    sys.path.insert(0, str(checkout))
    evaluator = import_module("kitti_odometry").KittiEvalOdom()

    def drift(estimate: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
        parts = evaluator.calc_sequence_errors(*(dict(enumerate(p)) for p in (truth, estimate)))
        translation, rotation = evaluator.compute_overall_err(parts)
        return translation, np.degrees(rotation)

    return drift


def masks(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ten frames each of blobs and of the same ones wobbled; some frames without any."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        noise = [cv2.GaussianBlur(rng.normal(size=(240, 427)), (0, 0), 15) for _ in range(10)]
        field = np.stack(noise) * 30
        other = field + np.stack(
            [cv2.GaussianBlur(x, (0, 0), 5) for x in rng.normal(size=field.shape)]
        )
        truth, estimate = field > 0.8, other > 0.8
        truth[int(rng.integers(10))] = False
        estimate[int(rng.integers(10))] = False
        yield estimate, truth


def paths(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Drives of a kilometre or more, and how odometry sees them."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        steps = int(rng.integers(1000, 1500))
        yield drive(rng, steps, 1.0), drive(np.random.default_rng(seed), steps, 0.0)


def drive(rng: np.random.Generator, steps: int, noise: float) -> np.ndarray:
    """Poses of a car that turns now and then; the same road for the same seed."""
    turns = np.cumsum(rng.normal(scale=0.002, size=steps))[:, None] * [0.0, 1.0, 0.0]
    wobble = np.random.default_rng(1).normal(scale=1e-3 * noise, size=(steps, 3))
    motion = np.tile(np.eye(4), (steps, 1, 1))
    motion[:, :3, :3] = Rotation.from_rotvec(turns * 0.1 + wobble).as_matrix()
    motion[:, 2, 3] = 1 + np.random.default_rng(2).normal(scale=0.01 * noise, size=steps)
    poses = [np.eye(4)]
    for step in motion:
        poses.append(poses[-1] @ step)
    return np.stack(poses)


if __name__ == "__main__":
    main()
