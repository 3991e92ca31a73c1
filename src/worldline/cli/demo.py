"""`worldline demo`: reconstructs the clip that comes with the package, or one's own."""

from pathlib import Path

from worldline.cli.output import console


def demo(*, video: Path | None = None, out: Path = Path("out/demo"), quiet: bool = False) -> None:
    """TODO."""
    console().print("x")
