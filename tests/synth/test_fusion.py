"""Formulas that are compiled give the same pictures, and are compiled only where that is asked."""

import subprocess
import sys

import pytest
import torch

from worldline.synth.fusion import fused, fusing

COMPARE = """
import torch
from worldline.synth.stream import SyntheticWorlds

def batch(compiled):
    return next(SyntheticWorlds("validation", size=(96, 64), frames=2, batch=6, compiled=compiled))

plain, compiled = batch(False), batch(True)
same = plain.instance == compiled.instance
assert same.float().mean() > 0.999, same.float().mean()
for name in ("rgb", "depth", "normals"):
    a, b = (getattr(x, name)[same] for x in (plain, compiled))
    far = ((a - b).abs() > 1e-3 * b.abs().clamp_min(1)) & (a != b)
    assert far.float().mean() < 0.001, (name, far.float().mean())
from torch._dynamo.utils import counters
assert counters["frames"]["ok"] > 10, counters  # formulas were compiled ...
assert not counters["graph_break"], counters["graph_break"]  # ... each as a whole
"""


def test_formulas_are_compiled_only_within(monkeypatch):
    compiled = []

    def compiler(formula, dynamic):
        return lambda *args: compiled.append(args) or formula(*args)

    monkeypatch.setattr(torch, "compile", compiler)
    double = fused(lambda x: 2 * x)
    assert double(3) == 6 and not compiled
    with fusing():
        assert double(4) == 8
        with fusing(False):
            double(5)
    double(6)
    assert compiled == [(4,)]


@pytest.mark.slow
def test_compiled_worlds_look_the_same():
    # in a process of its own: here, types are checked within the formulas
    subprocess.run([sys.executable, "-c", COMPARE], check=True)
