"""Compares our metrics with golden vectors: ``python -m worldline.evaluation.golden FILE...``.

A file ``metrics_<name>.json`` holds ``cases.<case>.params`` and ``cases.<case>.expected`` (nan and
inf as strings); the ``.safetensors`` beside it the inputs ``<case>.<tensor>`` and larger expected
tensors ``<case>.out.*``. ``worldline.evaluation.goldens.<name>.numbers`` computes what is expected;
what its ``EITHER_SIGN`` names are directions whose sign means nothing.
The exit status is 1 if a number is off by more than the family's tolerance, 2 if a file cannot be
read, else 0.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from worldline.errors import InputError, WorldlineError

SMALL = 1e-4  # numbers below are compared as if they were this large: zero has no relative error

Entry = tuple[str, ...]  # where a number stands: ("scale", "Abs Rel")


@dataclass(frozen=True)
class Worst:
    """The entry of a case that is nearest to, or furthest beyond, its tolerance."""

    difference: float  # relative
    tolerance: float
    where: str

    @property
    def fine(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.difference <= self.tolerance


def check(file: Path) -> Iterator[tuple[str, Worst]]:
    """Every case of a file and its worst entry; raises ``InputError`` if it cannot be read."""
    family = _family(file)
    cases, tensors = _read(file)
    for name, case in cases.items():
        yield name, _case(family, case, _of_case(tensors, name))


def main(files: Sequence[str]) -> int:
    """Prints one line a case and returns the exit status."""
    if not files:
        sys.stderr.write("usage: python -m worldline.evaluation.golden FILE...\n")
        return 2
    status = 0
    for file in files:
        try:
            for name, worst in check(Path(file)):
                status = max(status, 0 if worst.fine else 1)
                sys.stdout.write(_line(Path(file), name, worst))
        except InputError as error:
            sys.stderr.write(f"{error}\n")
            status = 2
    return status


def _family(file: Path) -> ModuleType:
    name = file.stem.removeprefix("metrics_")
    module = f"worldline.evaluation.goldens.{name}"
    if not name.isidentifier() or util.find_spec(module) is None:
        raise InputError(f"{file}: there are no metrics named {name!r} to compare with.")
    return import_module(module)


def _read(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        cases = json.loads(file.read_text())["cases"]
        tensors = load_file(file.with_suffix(".safetensors"))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise InputError(f"{file}: no golden vectors can be read from it ({error!r}).") from error
    whole = isinstance(cases, dict) and all("expected" in case for case in cases.values())
    if not whole:
        raise InputError(f"{file}: every case needs its expected numbers.")
    return cases, tensors


def _of_case(tensors: Mapping[str, np.ndarray], case: str) -> dict[str, np.ndarray]:
    start = f"{case}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}


def _case(family: ModuleType, case: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Worst:
    inputs = {name: t for name, t in tensors.items() if not name.startswith("out.")}
    outputs = {name: t for name, t in tensors.items() if name.startswith("out.")}
    expected = case["expected"]
    tolerance = _tolerance(family)
    try:
        ours = family.numbers(inputs, case.get("params", {}), expected)
    except (WorldlineError, KeyError) as error:  # KeyError: a tensor or a variant unknown to us
        return Worst(math.inf, tolerance(()), f"all of it: {error!r}")
    found = list(_differences(ours, expected, ()))
    for name, tensor in outputs.items():
        own = ours.get(name) if isinstance(ours, Mapping) else None
        if own is not None and name in getattr(family, "EITHER_SIGN", ()):
            own = _turned_to(np.asarray(own, np.float64), tensor)
        found += _differences(own, tensor, (name,))
    worst = [Worst(gap, tolerance(path), ".".join(path)) for path, gap in found]
    return max(worst, key=lambda w: w.difference / w.tolerance, default=Worst(0.0, 1.0, "nothing"))


def _turned_to(ours: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Directions [..., 3] that are known up to their sign, on the expected's side."""
    if ours.shape != expected.shape:
        return ours
    return np.where((ours * expected).sum(axis=-1, keepdims=True) < 0, -ours, ours)


def _tolerance(family: ModuleType) -> Callable[[Entry], float]:
    if hasattr(family, "tolerance"):
        return family.tolerance
    return lambda path: family.TOLERANCE


def _differences(ours: Any, expected: Any, path: Entry) -> Iterator[tuple[Entry, float]]:
    """Every expected entry with its relative difference; what is not there is off by infinity."""
    if isinstance(expected, Mapping):
        held = ours if isinstance(ours, Mapping) else {}
        for key, value in expected.items():
            yield from _differences(held.get(key), value, (*path, str(key)))
    elif isinstance(expected, list) and any(isinstance(item, Mapping | list) for item in expected):
        items = list(ours) if isinstance(ours, Sequence | np.ndarray) else []
        items += [None] * (len(expected) - len(items))
        for index, value in enumerate(expected):
            yield from _differences(items[index], value, (*path, str(index)))
    else:
        yield path, _difference(ours, expected)


def _difference(ours: Any, expected: Any) -> float:
    """The largest relative difference of two numbers or arrays; nan equals nan, inf equals inf."""
    try:
        a, b = np.asarray(ours, np.float64), np.asarray(expected, np.float64)
    except (TypeError, ValueError):  # a word, not a number
        return 0.0 if ours == expected else math.inf
    if ours is None or expected is None:
        return 0.0 if ours is expected else math.inf
    if a.shape != b.shape:
        return math.inf
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(a - b) / np.maximum(np.abs(b), SMALL)
    gap = np.where(np.isfinite(a) & np.isfinite(b), gap, np.inf)
    return float(np.where(same, 0.0, gap).max(initial=0.0))


def _line(file: Path, case: str, worst: Worst) -> str:
    verdict = "ok" if worst.fine else "OFF"
    return (
        f"{verdict:3} {file.stem} {case}: {worst.difference:.2e} "
        f"(at most {worst.tolerance:.0e}) at {worst.where}\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
