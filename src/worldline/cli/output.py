"""Where the commands print: people's text and JSON on stdout, everything else on stderr."""

import json
import math
import sys
from typing import Any

from rich.console import Console


class _Plain(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `report_failure`, where rich would exit with 1."""
        raise BrokenPipeError


def console() -> Console:
    """Stdout. Lines are neither wrapped nor coloured, so that they can be piped."""
    return _Plain(file=sys.stdout, highlight=False, markup=False, soft_wrap=True)


def errors() -> Console:
    """Stderr, in the same way."""
    return _Plain(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout; numbers that JSON lacks (NaN) become null."""
    sys.stdout.write(json.dumps(_strict(value), ensure_ascii=False) + "\n")


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _strict(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
