"""Where the reference values lie (beside the repository, where there are any)."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared"


@pytest.fixture(scope="session")
def reference_metrics() -> Path:
    return _needs(SHARED / "data" / "reference_metrics")


@pytest.fixture(scope="session")
def golden() -> Path:
    return _needs(SHARED / "reference" / "golden" / "visible")


@pytest.fixture(scope="session")
def davis_camel() -> Path:
    return _needs(SHARED / "data" / "davis_camel")


def _needs(folder: Path) -> Path:
    if not folder.is_dir():
        pytest.skip(f"needs the reference data in {folder.name}, not kept in the repository")
    return folder
