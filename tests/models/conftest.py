"""Golden vectors of networks and manifests of published checkpoints, where they lie beside us."""

import json
from pathlib import Path

import pytest

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
