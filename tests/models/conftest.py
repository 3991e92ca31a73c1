"""Golden vectors of networks and manifests of published checkpoints, where they lie beside us."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

GOLDEN = Path(__file__).parents[2].parent / "shared" / "reference" / "golden"


@pytest.fixture
def golden_file():
    """`golden_file("raft_small")` -> its .json; skips where the vectors are not there."""

    def find(name: str) -> Path:
        path = GOLDEN / "visible" / f"{name}.json"
        if not path.exists():
            pytest.skip("the golden vectors do not lie beside this repository")
        return path

    return find


@pytest.fixture
def manifest():
    """`manifest("vggt")` -> ({name: shape}, groups of names that are one tensor), as published."""

    def read(name: str) -> tuple[dict[str, tuple[int, ...]], list[list[str]]]:
        path = GOLDEN / f"{name}.keys.json"
        if not path.exists():
            pytest.skip("the manifests do not lie beside this repository")
        content = json.loads(path.read_text())
        shapes = {entry["name"]: tuple(entry["shape"]) for entry in content["keys"]}
        return shapes, content["shared_tensor_groups"]

    return read


@pytest.fixture
def same_as_published(manifest):
    """`same_as_published(network, renamed, "vggt")`: names and shapes agree, both ways."""

    def check(network: torch.nn.Module, renamed: Callable[[str], str | None], name: str) -> None:
        published, shared = manifest(name)
        tensor_of = {key: min(group) for group in shared for key in group}
        ours = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
        named = [(renamed(key), tensor_of.get(key, key)) for key in published]
        kept = {pair for pair in named if pair[0] is not None}
        theirs = {renamed(key): shape for key, shape in published.items()}
        theirs.pop(None, None)
        assert len(kept) == len(theirs), "two published tensors became one"
        assert theirs == ours

    return check
