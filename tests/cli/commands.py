"""Commands started in processes of their own, and what they printed."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]


@dataclass
class Run:
    """What a command printed and returned."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout."""
        return json.loads(self.out)

    def says(self) -> str:
        """The one line that tells of the failure; asserts that there is just one."""
        assert "Traceback" not in self.err + self.out, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("worldline: ")]
        assert len(lines) == 1, self.err
        assert self.err.endswith(lines[0] + "\n")
        return lines[0].removeprefix("worldline: ")


def start(arguments: Sequence[object], pause: str = "", **options: Any) -> subprocess.Popen:
    """Start the command line in a process of its own, where the fake system is registered."""
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "FAKE_PAUSE": pause,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "fake_systems", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def finish(process: subprocess.Popen) -> Run:
    """Wait for a started command."""
    out, err = process.communicate(timeout=120)
    return Run(process.returncode, out, err)
