"""`worldline export`: a stored scene in the formats of other programs."""

from pathlib import Path
from typing import Annotated

import tyro

from worldline.cli.options import Count, Flag, Folder, Number
from worldline.cli.output import console, print_json
from worldline.cli.progress import progress, shown
from worldline.io.exports.registry import FORMATS

FormatNames = Annotated[
    tuple[str, ...],
    tyro.conf.arg(
        metavar="NAME...", help="; ".join(f"{one.name}: {one.summary}" for one in FORMATS.values())
    ),
]


def export(  # noqa: PLR0913 # one name for each choice a user has
    scene: tyro.conf.Positional[Path],
    *,
    to: FormatNames,
    out: Folder = None,
    at: Number = None,
    max_points: Count = 1_000_000,
    min_confidence: Number = None,
    overwrite: Flag = False,
    json: Flag = False,
    quiet: Flag = False,
) -> None:
    """Write a stored scene in the formats of other programs.

    Args:
        scene: the scene's directory.
        to: what to write.
        out: directory to write it in; without it, beside the scene.
        at: time in seconds at which points are gathered; without it, the first frame's.
        max_points: of a cloud, drawn evenly over the frames.
        min_confidence: leave out points whose depth is less sure.
        overwrite: replace what is there.
        json: print one JSON object instead of words.
        quiet: show no progress.
    """
    written = {}
    with progress(quiet=quiet) as listener:
        from worldline.io.exports import Choices
        from worldline.io.exports import export as write
        from worldline.scene import load_scene

        stored = load_scene(scene)
        choices = Choices(0 if at is None else at, max_points, min_confidence, overwrite)
        for name in to:
            with shown(listener, name):
                written[name] = str(write(stored, default_path(scene, name, out), name, choices))
    if json:
        print_json(written)
        return
    console().print("\n".join(f"{name:<12} {path}" for name, path in written.items()))
    partial = [name for name in written if FORMATS[name].solved_only]
    interpolated = int((~stored.cameras.registered).sum())
    if partial and interpolated:
        console().print(
            f"{'note':<12} {interpolated} of {len(stored)} frames are left out of "
            f"{', '.join(partial)}: their cameras were interpolated, not solved"
        )


def default_path(scene: Path, name: str, out: Path | None) -> Path:
    """The scene's name, with the format's ending or, for a folder, its name."""
    scene = scene.resolve()
    stem = scene.name.removesuffix(".scene")
    ending = FORMATS[name].ending if name in FORMATS else ""
    return (out or scene.parent) / (f"{stem}{ending}" if ending else f"{stem}.{name}")
