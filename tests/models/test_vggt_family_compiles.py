"""Protects that VGGT, V-DPM and Complet4R are one graph each for torch.compile."""

import subprocess
import sys

import pytest

SCRIPT = """
import torch
from worldline.models import complet4r, vdpm, vggt

sizes = dict(
    dim=32, depth=4, heads=2, dino_depth=1, dino_heads=2, levels=(0, 1, 2, 3), features=16,
    channels=(8, 8, 16, 16), camera_depth=1, camera_heads=2, image=42,
)
images, queries = torch.rand(1, 2, 3, 28, 42), torch.rand(1, 3, 2) * 28
track = dict(track_features=16, track_hidden=16, track_heads=2, track_depth=1, track_levels=2)
for network, inputs in (
    (vggt.Vggt(vggt.VggtConfig(**sizes, **track)), (images, queries)),
    (vdpm.Vdpm(vdpm.VdpmConfig(**sizes, decoder_depth=1, decoder_heads=2)),
     (images, torch.ones(1, 2, dtype=torch.long))),
    (complet4r.Complet4r(complet4r.Complet4rConfig(**sizes)), (images, torch.tensor([1]))),
):
    with torch.inference_mode():
        compiled = torch.compile(network.eval(), fullgraph=True, backend="eager")
        points = lambda out: out[0] if isinstance(out, tuple) else out.points
        torch.testing.assert_close(points(compiled(*inputs)), points(network(*inputs)))
"""


@pytest.mark.slow
def test_each_network_is_one_graph():
    """In a process of its own, where no shapes are checked: the checks are no part of a graph."""
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
