"""`worldline eval`: systems on the clips of a benchmark, in numbers beside the published ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from worldline.cli.options import Count, Flag, Folder, Pixels, Text, Whole
from worldline.cli.output import console, errors, print_json
from worldline.errors import InputError

CLIPS = "real-clips"  # the benchmark of a folder in the layout of docs/evaluation.md
SHOWN = 8  # columns of the table on screen

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
        workers: clips at a time; each takes the memory of a reconstruction.
        columns: the numbers that the table shows; all are in the files.
        json: print one JSON object instead of a table.
        quiet: show no progress.
    """
    from worldline.evaluation.report import columns as known_columns
    from worldline.evaluation.report import summary, table, write_report
    from worldline.evaluation.run import Results, run

    plan = Plan.of(benchmark, data)
    folder = out or Path("eval") / plan.name
    clips = plan.clips(only, limit)
    tasks = [plan.task(clip, name, size, frames) for clip in clips for name in system]
    results = Results.of(folder, benchmark=plan.name, worldline=_version())
    tell = None if quiet else _teller(len([t for t in tasks if not results.holds(t)]))
    run(tasks, results, workers, tell)
    shown = Results(folder, results.told, {clip: results.clips[clip] for clip in clips})
    names = known_columns(shown, columns or plan.columns)
    rows = summary(shown, system, names, plan.group)
    files = write_report(
        shown,
        system,
        known_columns(shown),
        title=f"{plan.title}: {', '.join(system)}",
        group=plan.group,
        published=plan.published,
    )
    failed = sum(row["of"] - row["clips"] for row in rows if not row["group"])
    if json:
        print_json({"rows": [_plain(row) for row in rows], "files": [str(file) for file in files]})
    else:
        _print_table(table(rows, names[:SHOWN] if not columns else names))
        console().print("\n".join(f"report    {file}" for file in files))
    return 1 if failed else 0


@dataclass(frozen=True)
class Plan:
    """What is measured: a dataset's clips, and what to show of them."""

    name: str
    title: str
    dataset: str
    root: Path | None
    columns: tuple[str, ...] = ()
    published: tuple[dict[str, Any], ...] = ()
    listed: tuple[str, ...] = ()

    @classmethod
    def of(cls, benchmark: str | None, data: Path | None) -> "Plan":
        """Raises InputError for a benchmark that there is not, and for data that is missing."""
        from worldline.evaluation.benchmark import load

        if benchmark is None and data is None:
            raise InputError("say what to measure on: --benchmark NAME, or --data DIR with clips.")
        found = load(benchmark or CLIPS)
        if found.dataset != "synth_bench" and data is None:
            raise InputError(f"{found.name} needs its data: give the folder with --data DIR.")
        if data is not None and not data.is_dir():
            raise InputError(f"{data} is no folder; give the one that holds the data.")
        return cls(
            name=found.name,
            title=found.title,
            dataset=found.dataset,
            root=data,
            columns=tuple(found.columns),
            published=tuple(found.rows()),
            listed=tuple(found.clips),
        )

    @property
    def group(self) -> Any:
        """What the clips are grouped by, where the dataset knows groups."""
        from worldline.datasets.registry import dataset

        return getattr(dataset(self.dataset), "group", None)

    def clips(self, only: tuple[str, ...], limit: int | None) -> list[str]:
        """The clips to measure. Raises InputError for one that there is not."""
        from worldline.datasets.registry import dataset

        names: list[str] = dataset(self.dataset).names(self.root)
        if self.listed:
            names = [name for name in self.listed if name in names]
        if unknown := set(only) - set(names):
            raise InputError(
                f"no clip is called {sorted(unknown)[0]}; there is: {', '.join(names)}"
            )
        names = [name for name in names if name in only or not only]
        return names[:limit]

    def task(self, clip: str, system: str, size: int | None, frames: int | None) -> Any:
        """One system on one clip."""
        from worldline.evaluation.run import Task

        return Task(self.dataset, self.root, clip, system, size, frames)


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
    from rich import box
    from rich.table import Table

    head, *rows = cells
    shown = Table(box=box.SIMPLE_HEAD)
    for i, name in enumerate(head):
        shown.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        shown.add_row(*row)
    console().print(shown)
