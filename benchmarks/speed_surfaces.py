"""How long two large clouds take to compare: ours beside the protocol with Open3D, in one run.

    python benchmarks/speed_surfaces.py --points 1000000

Open3D is imported only here (`pip install open3d`). Both lay the estimate on the truth by ICP, fit
normals and look up the nearest points of either; the transforms and the numbers are compared too.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from worldline.evaluation.metrics.surfaces import point_errors

THRESHOLD = 0.1  # of ICP, metres


@dataclass(frozen=True)
class Outcome:
    seconds: float
    transform: np.ndarray
    numbers: np.ndarray  # accuracy, completion and both normal consistencies, means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    estimate, truth = clouds(arguments.points)
    for icp in (True, False):
        print(f"{arguments.points} points against as many, {'with' if icp else 'without'} ICP:")
        for _ in range(arguments.repeats):
            compare(timed(ours, estimate, truth, icp), timed(with_open3d, estimate, truth, icp))


def compare(own: Outcome, other: Outcome) -> None:
    print(f"  ours {own.seconds:.1f} s, Open3D {other.seconds:.1f} s: ", end="")
    print(f"{other.seconds / own.seconds:.2f} times as fast")
    print(f"  transforms differ by {np.abs(own.transform - other.transform).max():.1e},", end=" ")
    print(f"numbers by {np.abs(own.numbers / other.numbers - 1).max():.1e} (relative)", flush=True)


def timed(protocol: Callable, estimate: np.ndarray, truth: np.ndarray, icp: bool) -> Outcome:
    start = time.perf_counter()
    transform, numbers = protocol(estimate, truth, icp)
    return Outcome(time.perf_counter() - start, transform, np.array(numbers))


def ours(estimate: np.ndarray, truth: np.ndarray, icp: bool) -> tuple[np.ndarray, list[float]]:
    errors = point_errors(estimate, truth, THRESHOLD if icp else None)
    whole, found = errors.summary(), errors.registration
    return (np.eye(4) if found is None else found.transform), [
        whole.accuracy,
        whole.completion,
        whole.normals_accuracy,
        whole.normals_completion,
    ]


def with_open3d(
    estimate: np.ndarray, truth: np.ndarray, icp: bool
) -> tuple[np.ndarray, list[float]]:
    """The steps that CUT3R's evaluator takes, in their order."""
    import open3d

    source, target = (
        open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
        for points in (estimate, truth)
    )
    transform = np.eye(4)
    if icp:
        registration = open3d.pipelines.registration
        transform = registration.registration_icp(
            source,
            target,
            THRESHOLD,
            np.eye(4),
            registration.TransformationEstimationPointToPoint(),
        ).transformation
        source.transform(transform)
    source.estimate_normals()
    target.estimate_normals()
    there, back = one_way(source, target), one_way(target, source)
    return transform, [there[0], back[0], there[1], back[1]]


def one_way(source, target) -> tuple[float, float]:
    distance, index = cKDTree(target.points).query(source.points, workers=-1)
    agreement = np.sum(np.asarray(target.normals)[index] * np.asarray(source.normals), axis=-1)
    return float(np.mean(distance)), float(np.mean(np.abs(agreement)))


def clouds(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two samplings of one landscape of 4 x 4 m, 3 mm of noise, the estimate moved by 1 cm."""
    rng = np.random.default_rng(0)
    turn = Rotation.from_euler("xyz", [0.3, -0.2, 0.4], degrees=True).as_matrix()
    return surface(rng, count) @ turn.T + [0.01, -0.005, 0.01], surface(rng, count)


def surface(rng: np.random.Generator, count: int) -> np.ndarray:
    x, y = rng.uniform(-2, 2, (2, count))
    points = np.stack([x, y, 0.5 * np.sin(2 * x) * np.cos(1.5 * y)], axis=-1)
    return points + rng.normal(scale=0.003, size=points.shape)


if __name__ == "__main__":
    main()
