"""The command ``python -m worldline.models.golden FILE...``; see the package."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch

from worldline.errors import InputError
from worldline.models.golden.vectors import Deviation, Golden, deviations, read

NETWORKS = {  # how a file's "network" begins, and the module that runs it; the longest wins
    "4RC": "fourrc",
    "CoTracker3": "cotracker3",
    "DUSt3R": "dust3r",
    "Depth Anything 3 any-view": "da3",
    "Depth Anything 3 metric": "da3_metric",
    "RAFT": "raft",
    "SEA-RAFT": "searaft",
    "V-DPM": "vdpm",
    "VGGT": "vggt",
    "ray map": "raypose",
}


def compare(golden: Golden) -> list[Deviation]:
    """Run the instance and compare every tensor. Raises InputError for an unknown network."""
    fitting = [start for start in NETWORKS if golden.network.startswith(start)]
    if not fitting:
        raise InputError(
            f"there is no network {golden.network!r}; there is: {', '.join(sorted(NETWORKS))}"
        )
    module = import_module(f"worldline.models.golden.{NETWORKS[max(fitting, key=len)]}")
    with torch.inference_mode():
        return list(deviations(module.run(golden), golden))


def main(files: Sequence[str]) -> int:
    """Print one line a tensor; 1 if any is beyond its tolerance, 2 if a file cannot be read."""
    if not files:
        sys.stderr.write("usage: python -m worldline.models.golden FILE...\n")
        return 2
    status = 0
    for file in files:
        try:
            for deviation in compare(read(Path(file))):
                status = max(status, 0 if deviation.fine else 1)
                sys.stdout.write(_line(Path(file).stem, deviation))
        except InputError as error:
            sys.stderr.write(f"{error}\n")
            status = 2
    return status


def _line(file: str, deviation: Deviation) -> str:
    verdict = "ok" if deviation.fine else "OFF"
    return (
        f"{verdict:3} {file} {deviation.name}: {deviation.error:.2e} "
        f"(at most {deviation.tolerance:.1e})\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
