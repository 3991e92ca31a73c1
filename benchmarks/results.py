"""What was measured so far, kept in one JSON file, and when it still holds."""

import hashlib
import json
import math
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

import worldline
from worldline.errors import InputError
from worldline.scene.store import atomic_file, write_json

Entry: TypeAlias = dict[str, Any]  # numbers by name, or {"error": what went wrong}

WORLDLINE = Path(worldline.__file__).parent  # the code that is measured
_HERE = Path(__file__).parent
_OURS = ("torch", "numpy", "opencv-python-headless", "pycolmap")


class Results:
    """Entries by sequence and by contestant ("ours", "pycolmap"); `path` None keeps no file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.sequences: dict[str, dict[str, Entry]] = {}
        if path is not None and path.is_file():
            try:
                self.sequences = json.loads(path.read_text(encoding="utf-8"))["sequences"]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path} holds no results of this benchmark") from error

    def holds(self, name: str, contestant: str, key: str) -> bool:
        """Whether this was measured, without an error, by the same code with the same settings."""
        entry = self.sequences.get(name, {}).get(contestant, {"error": "not measured"})
        return "error" not in entry and entry.get("key") == key

    def keep(self, name: str, contestant: str, entry: Entry) -> None:
        """Remember an entry; NaN becomes None."""
        strict = {
            part: None if isinstance(value, float) and not math.isfinite(value) else value
            for part, value in entry.items()
        }
        self.sequences.setdefault(name, {})[contestant] = strict

    def write(self, **told: Any) -> None:
        """Replace the file by all entries and what is told of them."""
        if self._path is not None:
            with atomic_file(self._path) as partial:
                write_json(partial, {**told, "sequences": self.sequences})


def our_key(size: int) -> str:
    """Changes with whatever changes our numbers: code (committed or not), libraries, settings."""
    measuring = [_HERE / name for name in ("metrics.py", "sequences.py", "composites.py")]
    return _hash([*WORLDLINE.rglob("*.py"), *measuring], [size, *map(metadata.version, _OURS)])


def plain_key() -> str:
    """The same for pycolmap, whose numbers do not depend on worldline: they are kept longer."""
    measuring = [_HERE / name for name in ("metrics.py", "plain_colmap.py", "composites.py")]
    return _hash(measuring, [metadata.version("pycolmap")])


def commit() -> str:
    """Git's short name of the commit that is measured; "+" marks changes since."""
    head = _git("rev-parse", "--short", "HEAD")
    return head + ("+" if _git("status", "--porcelain", "--", ".") else "") if head else "unknown"


def _hash(files: Iterable[Path], settings: list[Any]) -> str:
    digest = hashlib.sha256(repr(settings).encode())
    for file in sorted(files):
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(WORLDLINE), *words], capture_output=True, text=True, check=False
        )
    except OSError:  # there is no git
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
