"""tapnet's TAP-Vid and TAPVid-3D metrics and ours on random tracks: agreement and times.

python benchmarks/agree_tapnet.py --tapnet DIR    # a checkout of google-deepmind/tapnet

Needs einops. The published 2D function stands in a file that imports TensorFlow and more; only the
function itself is taken from it.
"""

import ast
import importlib.util
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from worldline.evaluation.metrics.tapvid import Tracks, tapvid_counts
from worldline.evaluation.metrics.tapvid3d import tapvid3d_counts

Scores = Mapping[str, np.ndarray]
Pair = tuple[str, Callable[[], Scores], Callable[[], Scores]]  # what, theirs, ours

SCALINGS = ("median", "mean", "per_trajectory", "reproduce_2d", "median_on_queries", "none")
INTRINSICS = np.array([220.0, 240.0, 128.0, 128.0])


def main(tapnet: Path, cases: int = 200, seed: int = 0) -> None:
    """Prints the largest difference of any number and the ratio of the times, for each family."""
    rng = np.random.default_rng(seed)
    published_2d = load_2d(tapnet / "tapnet" / "tapvid" / "evaluation_datasets.py")
    published_3d = load_3d(tapnet / "tapnet" / "tapvid3d" / "evaluation" / "metrics.py")
    compare("TAP-Vid", (pair_2d(published_2d, rng) for _ in range(cases)))
    compare("TAPVid-3D", (pair_3d(published_3d, rng, SCALINGS) for _ in range(cases)))
    local = ("local_neighborhood",)
    compare("TAPVid-3D local", (pair_3d(published_3d, rng, local) for _ in range(cases)))


def compare(family: str, pairs: Iterator[Pair]) -> None:
    times, worst, count = np.zeros(2), (0.0, "nothing"), 0
    for what, theirs, ours in pairs:
        with np.errstate(all="ignore"):
            expected, found = _timed(theirs, times, 0), _timed(ours, times, 1)
        for name, values in expected.items():
            apart = _difference(np.asarray(values), found[name])
            worst = max(worst, (apart, f"{name} of {what}"))
        count += 1
    print(
        f"{family}: {count} cases, largest difference {worst[0]:.2e} ({worst[1]}); "
        f"theirs {times[0]:.3f} s, ours {times[1]:.3f} s, ours / theirs {times[1] / times[0]:.2f}"
    )


def pair_2d(published: Callable[..., Scores], rng: np.random.Generator) -> Pair:
    """Up to three videos of random tracks; some points are lost, some are NaN."""
    videos, mode = int(rng.integers(1, 4)), str(rng.choice(["first", "strided"]))
    per_track = bool(rng.random() < 0.3)
    truth, estimate, queries = random_tracks(rng, 256 * rng.random((videos, 1, 1, 2)), 4.0)

    def theirs() -> Scores:
        return published(
            queries,
            truth.occluded,
            truth.points,
            estimate.occluded,
            estimate.points,
            mode,
            per_track,
        )

    def ours() -> Scores:
        counts = tapvid_counts(estimate, truth, queries, mode)  # type: ignore[arg-type]
        return (counts.per_track() if per_track else counts.per_video()).under_published_names()

    return mode, theirs, ours


def pair_3d(
    published: Callable[..., Scores], rng: np.random.Generator, scalings: tuple[str, ...]
) -> Pair:
    """One video: the published medians and means take no more."""
    scaling, fixed = str(rng.choice(scalings)), bool(rng.random() < 0.3)
    local = scaling == "local_neighborhood"  # only published for single tracks
    per_track = local or bool(rng.random() < 0.3)
    truth, estimate, queries = random_tracks(rng, np.array([[[[0.0, 0, 6]]]]), 0.1)
    truth, estimate = (Tracks(t.points[0], t.occluded[0]) for t in (truth, estimate))

    def theirs() -> Scores:
        return published(
            truth.occluded,
            truth.points,
            estimate.occluded,
            estimate.points,
            INTRINSICS,
            per_track,
            scaling,
            queries[0] if local else queries,
            fixed,
            0.5,
        )

    def ours() -> Scores:
        counts = tapvid3d_counts(
            estimate,
            truth,
            INTRINSICS,
            scaling,  # type: ignore[arg-type]
            queries[0],
            fixed,
            neighborhood=0.5,
        )
        return (counts.per_track() if per_track else counts.per_video()).under_published_names()

    return scaling + (", fixed thresholds" if fixed else ""), theirs, ours


def random_tracks(
    rng: np.random.Generator, middle: np.ndarray, noise: float
) -> tuple[Tracks, Tracks, np.ndarray]:
    """True and estimated tracks [B, N, T] and queries about a middle [B, 1, 1, d]."""
    videos, dimensions = middle.shape[0], middle.shape[-1]
    shape = (videos, int(rng.integers(1, 100)), int(rng.integers(2, 120)), dimensions)
    truth = middle + 10 * noise * rng.normal(size=(*shape[:2], 1, dimensions))
    truth = truth + np.cumsum(noise * rng.normal(size=shape), axis=2)
    estimate = truth + noise * rng.normal(size=shape) * rng.gamma(1, 2, size=(*shape[:2], 1, 1))
    estimate[rng.random(shape[:3]) < 0.01] = np.nan
    hidden = rng.random(shape[:3]) < rng.random()
    claimed = np.where(rng.random(shape[:3]) < 0.9, hidden, ~hidden)
    queries = np.zeros((*shape[:2], 3))
    queries[..., 0] = rng.integers(0, shape[2], size=shape[:2])
    return Tracks(truth, hidden), Tracks(estimate, claimed), queries


def load_2d(file: Path) -> Callable[..., Scores]:
    """``compute_tapvid_metrics`` alone."""
    tree = ast.parse(_text(file))
    tree.body = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "compute_tapvid_metrics"
    ]
    names: dict[str, Any] = {"np": np, "Mapping": Mapping}
    exec(compile(tree, str(file), "exec"), names)
    return names["compute_tapvid_metrics"]


def load_3d(file: Path) -> Callable[..., Scores]:
    """``compute_tapvid3d_metrics``, whose file needs numpy and einops only."""
    if importlib.util.find_spec("einops") is None:
        sys.exit("The published TAPVid-3D metrics need einops: pip install einops.")
    module = types.ModuleType("tapvid3d_metrics")
    exec(compile(_text(file), str(file), "exec"), module.__dict__)
    return module.compute_tapvid3d_metrics


def _text(file: Path) -> str:
    if not file.is_file():
        sys.exit(f"There is no {file}; give a checkout of google-deepmind/tapnet.")
    return file.read_text()


def _timed(run: Callable[[], Scores], times: np.ndarray, which: int) -> Scores:
    start = time.perf_counter()
    result = run()
    times[which] += time.perf_counter() - start
    return result


def _difference(expected: np.ndarray, found: np.ndarray) -> float:
    found = found.reshape(expected.shape)
    apart = np.where(np.isnan(expected) & np.isnan(found), 0.0, np.abs(expected - found))
    return float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0))


if __name__ == "__main__":
    tyro.cli(main)
