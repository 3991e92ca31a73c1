"""The benchmarks are scripts, no part of the package: their folder and that of the small world."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

sys.path[:0] = [str(REPOSITORY / "benchmarks"), str(REPOSITORY / "tests" / "scene")]
