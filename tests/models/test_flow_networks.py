"""Protects that the flow networks compile whole."""

import subprocess
import sys

SCRIPT = """
import torch
from worldline.models.raft import Raft, RaftConfig
from worldline.models.searaft import SeaRaft, SeaRaftConfig

sizes = dict(levels=2, radius=1, stem=8, widths=(8, 8, 8))
images = torch.zeros(1, 3, 16, 24), torch.ones(1, 3, 16, 24)
networks = [
    Raft(RaftConfig(features=8, hidden=8, context=8, motion=6, head=8, **sizes)),
    Raft(RaftConfig(small=True, features=8, hidden=8, context=8, motion=6, head=8, **sizes)),
    SeaRaft(SeaRaftConfig(depths=(1, 1, 1), dim=8, refinements=1, **sizes)),
]
with torch.inference_mode():
    for network in networks:
        found = torch._dynamo.explain(network.eval())(*images, 1)
        assert found.graph_break_count == 0, found.break_reasons
"""


def test_they_compile_without_a_graph_break():
    """In a process of its own: the checks of shapes in these tests are breaks themselves."""
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
