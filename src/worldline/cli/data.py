"""`worldline data check`: whether a dataset on this disk is there as a whole."""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import arg

from worldline.cli.options import Flag
from worldline.cli.output import console, print_json
from worldline.datasets import registry
from worldline.datasets.registry import DATASETS
from worldline.errors import InputError

_SHOWN = 20  # lines; a dataset that was not extracted lacks thousands of files

_Name = Annotated[
    str | None,
    arg(metavar="NAME", help=f"one of {', '.join(DATASETS)}; left out: told by its layout"),
]


def data(
    action: tyro.conf.Positional[Literal["check"]],
    path: tyro.conf.Positional[Path],
    *,
    dataset: _Name = None,
    json: Flag = False,
) -> int:
    """Look whether a published dataset's files are all there; nothing is decoded.

    Exits with 1 when something is missing.

    Args:
        action: check.
        path: the folder that the dataset was extracted to.
        json: print one JSON object instead of words.
    """
    name = guessed(path) if dataset is None else dataset
    clips, problems = _looked_through(name, path)
    if json:
        print_json({"dataset": name, "clips": clips, "problems": problems})
        return int(bool(problems))
    more = [f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    lines = [f"dataset   {name}: {DATASETS[name]}", f"clips     {len(clips)}"]
    lines += [f"missing   {line}" for line in problems[:_SHOWN] + more] or ["complete"]
    console().print("\n".join(lines))
    return int(bool(problems))


def guessed(path: Path) -> str:
    """The dataset whose layout a folder has; ``InputError`` where that is none's."""
    if not path.is_dir():
        raise InputError(f"{path}: is no folder; give the one that the dataset was extracted to.")
    for name in DATASETS:
        try:
            reader = registry.dataset(name)
            # some layouts are others', too: their readers tell more than that there are clips
            if getattr(reader, "looks_like", reader.names)(path):
                return name
        except InputError:
            continue
    raise InputError(f"{path}: has no dataset's layout; say which it is with --dataset NAME.")


def _looked_through(name: str, path: Path) -> tuple[list[str], list[str]]:
    """The clips and the problems; that there is no clip is a problem, too."""
    reader = registry.dataset(name)
    try:
        clips = reader.names(path)
    except InputError as error:
        return [], [str(error)]
    return clips, reader.problems(path)
