"""Our masked PSNR and SSIM beside DyCheck's own code, on random pictures: how far apart, how fast.

Development only: needs jax beside worldline and a checkout of DyCheck (github: KAIR-BAIR/dycheck),
of which nothing is kept here: `python benchmarks/agree_dycheck.py --dycheck DIR`.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from worldline.evaluation.metrics.images import psnr_as_published, ssim_as_published

# packages whose __init__ would import all that training needs; the files below do not
SHELLS = ("", ".core", ".core.metrics", ".nn", ".nn.functional", ".utils")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dycheck", type=Path, required=True, help="checkout of DyCheck")
    parser.add_argument("--count", type=int, default=100, help="pairs of pictures")
    arguments = parser.parse_args()
    theirs = published(arguments.dycheck)
    metrics = {
        "mPSNR": (psnr_as_published, theirs.compute_psnr),
        "mSSIM": (ssim_as_published, theirs.compute_ssim),
    }
    for name, (ours, published_metric) in metrics.items():
        gaps, seconds = [], np.zeros(2)
        for first, second, mask in pictures(arguments.count):
            begin = time.perf_counter()
            found = ours(first, second, mask[..., 0])
            middle = time.perf_counter()
            expected = float(published_metric(first, second, mask))
            seconds += middle - begin, time.perf_counter() - middle
            gaps.append(abs(found - expected) / abs(expected))
        print(
            f"{name}: largest relative difference {max(gaps):.2e} over {arguments.count} pairs; "
            f"seconds: ours {seconds[0]:.2f}, DyCheck {seconds[1]:.2f}"
        )


def published(checkout: Path) -> ModuleType:
    """DyCheck's image metrics, without the rest of its package."""
    for shell in SHELLS:
        module = ModuleType(f"dycheck{shell}")
        module.__path__ = [str(checkout / "dycheck" / shell.strip(".").replace(".", "/"))]
        sys.modules[module.__name__] = module
    functional = sys.modules["dycheck.nn.functional"]
    functional.common = import_module("dycheck.nn.functional.common")  # type: ignore[attr-defined]
    sys.modules["dycheck.nn"].functional = functional  # type: ignore[attr-defined]
    sys.modules["dycheck.utils"].types = import_module("dycheck.utils.types")  # type: ignore[attr-defined]
    return import_module("dycheck.core.metrics.image")


def pictures(count: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs of one size, with masks from a few pixels to nearly all."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        first = rng.uniform(0, 1, (96, 128, 3)).astype(np.float32)
        if seed % 2:  # smooth, as real pictures are
            first = np.repeat(np.repeat(first[::8, ::8], 8, axis=0), 8, axis=1)
        noise = 10 ** rng.uniform(-3, -0.5) * rng.normal(size=first.shape)
        second = np.clip(first + noise, 0, 1).astype(np.float32)
        mask = rng.random((96, 128, 1)) < rng.uniform(0.001, 0.999)
        if seed % 3 == 0:
            mask[:, int(rng.integers(10, 128)) :] = False
        yield first, second, mask.astype(np.float32)


if __name__ == "__main__":
    main()
