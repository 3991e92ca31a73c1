"""`worldline download`: published weights of networks, or what there is of them."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import arg

from worldline.cli.options import Flag
from worldline.cli.output import console, errors, print_json
from worldline.cli.progress import progress, shown
from worldline.errors import InputError
from worldline.systems.listener import StageListener

_Names = Annotated[
    tuple[str, ...],
    arg(metavar="[NAME...]", help="checkpoints, or hub:OWNER/NAME[/FILE]"),
]


def download(
    names: tyro.conf.Positional[_Names] = (), *, json: Flag = False, quiet: Flag = False
) -> None:
    """Download published weights, or list them if none is named.

    The licence of each is shown first: many exclude commercial use. They are kept in
    $WORLDLINE_WEIGHTS, or in worldline/weights of the user's cache. What was cut off is resumed.

    Args:
        json: print one JSON object instead of words.
        quiet: show neither licences nor progress.
    """
    if not names:
        _list(json)
        return
    from worldline.models.registry import CHECKPOINTS

    if unknown := [n for n in names if n not in CHECKPOINTS and not n.startswith("hub:")]:
        known = ", ".join(CHECKPOINTS)
        raise InputError(f"there is no checkpoint {unknown[0]!r}; there is: {known}")
    for name in names if not quiet else ():
        errors().print(f"{name}: {_licence(name)}")
    with progress(quiet=quiet) as listener:
        files = {name: str(_fetched(name, listener)) for name in names}
    if json:
        print_json(files)
        return
    console().print("\n".join(f"{name:<18} {file}" for name, file in files.items()))


def _licence(name: str) -> str:
    from worldline.models.registry import CHECKPOINTS

    if name in CHECKPOINTS:
        return f"licence {CHECKPOINTS[name].licence}"
    return f"its licence is told on https://huggingface.co/{name.removeprefix('hub:')}"


def _fetched(name: str, listener: StageListener | None) -> Path:
    from worldline.models.download import download as fetch
    from worldline.models.registry import CHECKPOINTS

    known = CHECKPOINTS.get(name)
    source, sha256 = (known.source, known.sha256) if known else (name, None)
    with shown(listener, name):
        tell = partial(listener.stage_progress, name) if listener else None
        return fetch(source, sha256=sha256, tell=tell)


def _list(json: bool) -> None:
    from worldline.models.download import cache_folder, place
    from worldline.models.registry import CHECKPOINTS

    rows: dict[str, dict[str, Any]] = {}
    for name, checkpoint in CHECKPOINTS.items():
        file = place(checkpoint.source).file
        here = file.is_file()
        size = file.stat().st_size // 10**6 if here else checkpoint.megabytes
        facts = {"licence": checkpoint.licence, "summary": checkpoint.summary}
        rows[name] = {"megabytes": size, "file": str(file) if here else None, **facts}
    if json:
        print_json({"folder": str(cache_folder()), "checkpoints": rows})
        return
    for name, row in rows.items():
        amount = "" if row["megabytes"] is None else f"{row['megabytes']} MB"
        mark = "here" if row["file"] else ""
        console().print(f"{name:<18} {mark:4} {amount:>8}  {row['licence']}: {row['summary']}")
    console().print(f"kept in {cache_folder()}")
