"""`worldline eval`: systems on the clips of a benchmark, in numbers beside the published ones."""

from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from worldline.cli.options import Count, Flag, Folder, Pixels, Text, Whole
from worldline.cli.output import console, errors, print_json
from worldline.errors import InputError

CLIPS = "real-clips"  # the benchmark of a folder in the layout of docs/evaluation.md

Names = Annotated[tuple[str, ...], arg(metavar="NAME ...", help_behavior_hint="")]


def evaluate(  # noqa: PLR0913 # one name for each choice a user has
    *,
    system: Names = ("classic",),
    benchmark: Text = None,
    data: Folder = None,
    out: Folder = None,
    only: Names = (),
    limit: Count = None,
    frames: Count = None,
    size: Pixels = 640,
    weights: Text = None,
    workers: Whole = 1,
    columns: Names = (),
    json: Flag = False,
    quiet: Flag = False,
) -> int:
    """Measure systems on a benchmark's clips against what is known to be true of them.

    What was measured before by the same code is kept, so a run that was stopped goes on when the
    same command is given again. In the folder of the run: results.json, rows.csv, report.md and
    report.html with picture sheets.

    Args:
        system: what makes the scenes; one or more names of systems.
        benchmark: its name, such as synth-bench, which needs no data. Without it, --data is a
            folder of clips with what is known of them.
        data: the folder of the benchmark's data.
        out: the folder of the run; eval/BENCHMARK if not given.
        only: these clips alone.
        limit: at most so many clips.
        frames: at most so many frames of each clip, the first.
        size: longest side that the systems work at.
        weights: of the systems that are networks: a file, or a checkpoint that was downloaded.
        workers: clips at a time; each takes the memory of a reconstruction.
        columns: the numbers that the table shows; all are in the files.
        json: print one JSON object instead of a table.
        quiet: show no progress.
    """
    from worldline.datasets.registry import dataset
    from worldline.evaluation.benchmark import load
    from worldline.evaluation.report import columns as known_columns
    from worldline.evaluation.report import (
        headings,
        published_rows,
        summary,
        table,
        write_report,
    )
    from worldline.evaluation.run import Results, Task, clips_of, machine, run

    if benchmark is None and data is None:
        raise InputError("say what to measure on: --benchmark NAME, or --data DIR with clips.")
    found = load(benchmark or CLIPS)
    root = _data_of(found, data)
    clips = _clips(clips_of(found, root), only, limit)
    folder = out or Path("eval") / found.name
    tasks = [
        Task(found.name, root, clip, name, size, frames, weights)
        for clip in clips
        for name in system
    ]
    told = {"worldline": _version(), "machine": machine()}
    results = Results.of(folder, benchmark=found.name, **told)
    missing = sum(not results.holds(task) for task in tasks)
    run(tasks, results, workers, None if quiet else _teller(missing))
    shown = Results(folder, results.told, {clip: results.clips[clip] for clip in clips})
    group = getattr(dataset(found.dataset), "group", None)
    asked = known_columns(shown, columns or [column.key for column in found.columns])
    names = headings(asked, found)
    rows = summary(shown, system, asked, group)
    files = write_report(
        shown,
        system,
        names,
        title=f"{found.title}: {', '.join(system)}",
        group=group,
        published=published_rows(found),
    )
    failed = sum(row["of"] - row["clips"] for row in rows if not row["group"])
    if json:
        print_json({"rows": [_plain(row) for row in rows], "files": [str(file) for file in files]})
    else:
        _print_table(table(rows, names))
        console().print("\n".join(f"report    {file}" for file in files))
    return 1 if failed else 0


def _data_of(found: Any, data: Path | None) -> Path | None:
    """The folder of a benchmark's data. Raises InputError where it is needed and missing."""
    if found.dataset == "synth_bench":
        return None
    if data is None:
        raise InputError(f"{found.name} needs its data: give the folder with --data DIR.")
    if not data.is_dir():
        raise InputError(f"{data} is no folder; give the one that holds the data.")
    return data


def _clips(names: list[str], only: tuple[str, ...], limit: int | None) -> list[str]:
    """The clips to measure. Raises InputError for one that there is not."""
    if unknown := set(only) - set(names):
        raise InputError(f"no clip is called {sorted(unknown)[0]}; there is: {', '.join(names)}")
    return [name for name in names if name in only or not only][:limit]


def _teller(total: int) -> Any:
    done = 0

    def tell(clip: str, system: str, entry: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        words = entry.get("error") or f"{entry['seconds']:.0f} s"
        errors().print(f"[{done}/{total}] {clip}, {system}: {words}")

    return tell


def _version() -> str:
    from worldline import __version__

    return f"worldline {__version__}"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {k: vars(v) if hasattr(v, "__dataclass_fields__") else v for k, v in row.items()}


def _print_table(cells: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        first, *rest = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        console().print("  ".join([first, *rest]).rstrip())
