"""What a run found, for people: a table, rows as CSV, and pages in Markdown and HTML."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from worldline.evaluation.benchmark import Benchmark, Column
from worldline.evaluation.run import Entry, Results
from worldline.scene.store import atomic_file

RESAMPLES = 2000  # of the bootstrap
WORST = 5  # clips that are shown first
INTERVALS = "Means over clips, with the 95 % interval of a bootstrap."
LOWER_IS_WORSE = (
    "registered", "measured", "delta", "mask_j", "mask_iou", "apd", "aj", "oa", "psnr", "ssim",
)  # fmt: skip

Group = Callable[[str], str]
Headings = Mapping[str, str]  # what stands above each number, by its name


@dataclass(frozen=True)
class Mean:
    """A mean over clips with the 95 % interval of a bootstrap over them (Efron 1979)."""

    mean: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float], seed: int = 0) -> "Mean":
        """NaN of no value; an interval of one point for a single one."""
        known: Float[np.ndarray, " C"] = np.asarray(values, np.float64)
        if not known.size:
            return cls(float("nan"), float("nan"), float("nan"), 0)
        drawn = np.random.default_rng(seed).integers(0, known.size, (RESAMPLES, known.size))
        low, high = np.quantile(known[drawn].mean(axis=1), [0.025, 0.975])
        return cls(float(known.mean()), float(low), float(high), known.size)


def columns(results: Results, asked: Sequence[str] = ()) -> list[str]:
    """The numbers that any entry has, in the order in which they come, or those asked for."""
    found: dict[str, None] = {}
    for entry in _entries(results):
        found |= dict.fromkeys(
            name for name, value in entry.items() if value is None or _is_number(value)
        )
    return [name for name in asked if name in found] or list(found)


def summary(
    results: Results, systems: Sequence[str], names: Sequence[str], group: Group | None = None
) -> list[dict[str, Any]]:
    """A row for each system and group of clips, and one for each system over all of them.

    Clips that failed are counted, and in no mean.
    """
    rows = []
    for system in systems:
        groups = list(dict.fromkeys(group(clip) for clip in results.clips)) if group else []
        for name in [*groups, ""]:
            entries = [
                each[system]
                for clip, each in results.clips.items()
                if system in each and (not name or (group is not None and group(clip) == name))
            ]
            good = [entry for entry in entries if "error" not in entry]
            if entries:
                rows.append(
                    {"system": system, "group": name, "clips": len(good), "of": len(entries)}
                    | {column: Mean.of(_known(good, column)) for column in names}
                )
    return rows


def headings(names: Sequence[str], benchmark: Benchmark) -> Headings:
    """What stands above each number: title, unit and whether less is better, where that is told."""
    told = {column.key: column for column in benchmark.columns}
    return {name: _heading(told[name]) if name in told else name for name in names}


def _heading(column: Column) -> str:
    unit = f", {column.unit}" if column.unit else ""
    return f"{column.title}{unit} {'↓' if column.better == 'lower' else '↑'}"


def table(rows: Sequence[dict[str, Any]], names: Headings) -> list[list[str]]:
    """Cells of a summary, headings first."""
    lines = [["system", "clips", *names.values()]]
    for row in rows:
        what = f"{row['system']} {row['group']}".strip()
        share = f"{row['clips']}" if row["clips"] == row["of"] else f"{row['clips']} of {row['of']}"
        lines.append([what, share, *(_cell(row[name]) for name in names)])
    return lines


def write_report(
    results: Results,
    systems: Sequence[str],
    names: Headings,
    *,
    title: str,
    group: Group | None = None,
    published: Sequence[dict[str, Any]] = (),
) -> list[Path]:
    """Write rows.csv, report.md and report.html into the run's folder; returns the files."""
    rows = summary(results, systems, list(names), group)
    pages = {
        "rows.csv": rows_as_csv(results, systems),
        "report.md": markdown(results, systems, names, rows, title, published),
        "report.html": html(results, systems, names, rows, title, published),
    }
    for name, text in pages.items():
        with atomic_file(results.folder / name) as partial:
            partial.write_text(text, encoding="utf-8")
    return [results.folder / name for name in pages]


def rows_as_csv(results: Results, systems: Sequence[str]) -> str:
    """Every number of every clip and system."""
    text = StringIO()
    names = [*columns(results), "error"]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "system", *names])
    for clip, entries in sorted(results.clips.items()):
        for system in systems:
            if system in entries:
                values = (entries[system].get(name) for name in names)
                writer.writerow([clip, system, *("" if v is None else v for v in values)])
    return text.getvalue()


def markdown(
    results: Results,
    systems: Sequence[str],
    names: Headings,
    rows: Sequence[dict[str, Any]],
    title: str,
    published: Sequence[dict[str, Any]],
) -> str:
    """The summary, the published rows, each clip, and what failed."""
    parts = [f"# {title}", f"{results.told.get('worldline', '')}; {machine_of(results)}"]
    parts += [
        "Means over clips, with the 95 % interval of a bootstrap.",
        _pipes(table(rows, names)),
    ]
    if published:
        parts += ["## Published", _pipes(published_table(published))]
    parts += ["## Clips", _pipes(_clip_table(results, systems, names))]
    failed = _failed(results, systems)
    if failed:
        parts += ["## Not measured", "\n".join(f"- {line}" for line in failed)]
    return "\n\n".join(parts) + "\n"


def html(
    results: Results,
    systems: Sequence[str],
    names: Headings,
    rows: Sequence[dict[str, Any]],
    title: str,
    published: Sequence[dict[str, Any]],
) -> str:
    """The same as a page, with the picture sheets of the worst clips first."""
    parts = [f"<h1>{escape(title)}</h1><p class=quiet>{escape(machine_of(results))}</p>"]
    parts.append(f"<p>{INTERVALS}</p>")
    parts.append(_rows_html(table(rows, names)))
    if published:
        parts.append("<h2>Published</h2>" + _rows_html(published_table(published)))
    parts.append("<h2>Clips</h2>" + _rows_html(_clip_table(results, systems, names)))
    for line in _failed(results, systems):
        parts.append(f"<p>{escape(line)}</p>")
    for name in names:
        parts.append(_worst_html(results, systems, name, names[name]))
    return f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title>{_STYLE}" + "".join(
        parts
    )


def worst(results: Results, systems: Sequence[str], name: str) -> list[tuple[str, str, float]]:
    """Clip, system and value of the largest errors (of shares that should be high: the least)."""
    found = [
        (clip, system, float(entry[name]))
        for clip, entries in results.clips.items()
        for system, entry in entries.items()
        if system in systems and _is_number(entry.get(name))
    ]
    high_is_good = any(part in name for part in LOWER_IS_WORSE)
    return sorted(found, key=lambda row: row[2], reverse=not high_is_good)[:WORST]


def machine_of(results: Results) -> str:
    """Where it was measured."""
    return str(results.told.get("machine", ""))


def published_rows(benchmark: Benchmark) -> list[dict[str, Any]]:
    """What others published of a benchmark, and where."""
    return [
        {"system": row.system, **dict(row.numbers), "source": row.source}
        for row in benchmark.published
    ]


def published_table(published: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Cells of published rows, headings first."""
    names = list(dict.fromkeys(name for row in published for name in row))

    def cell(value: Any) -> str:
        unknown = value is None or (_is_number(value) and np.isnan(value))
        return "-" if unknown else str(value)

    return [names, *([cell(row.get(name)) for name in names] for row in published)]


def _entries(results: Results) -> list[Entry]:
    return [entry for each in results.clips.values() for entry in each.values()]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _known(entries: Sequence[Entry], name: str) -> list[float]:
    return [float(entry[name]) for entry in entries if _is_number(entry.get(name))]


def _cell(mean: Mean) -> str:
    if not mean.count:
        return "-"
    if mean.count == 1:
        return f"{mean.mean:.4g}"
    return f"{mean.mean:.4g} ({mean.low:.3g} to {mean.high:.3g})"


def _clip_table(results: Results, systems: Sequence[str], names: Headings) -> list[list[str]]:
    lines = [["clip", "system", *names.values()]]
    for clip, entries in sorted(results.clips.items()):
        for system in systems:
            entry = entries.get(system)
            if entry is not None and "error" not in entry:
                values = (entry.get(name) for name in names)
                cells = (f"{v:.4g}" if _is_number(v) else "-" for v in values)
                lines.append([clip, system, *cells])
    return lines


def _failed(results: Results, systems: Sequence[str]) -> list[str]:
    return [
        f"{clip}, {system}: {entry['error']}"
        for clip, entries in sorted(results.clips.items())
        for system, entry in entries.items()
        if system in systems and "error" in entry
    ]


def _pipes(cells: Sequence[Sequence[str]]) -> str:
    head, *rows = cells
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _rows_html(cells: Sequence[Sequence[str]]) -> str:
    head, *rows = cells
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _worst_html(results: Results, systems: Sequence[str], name: str, heading: str) -> str:
    shown = worst(results, systems, name)
    figures = []
    for clip, system, value in shown:
        sheet = results.clips[clip][system].get("sheet")
        words = f"{escape(clip)}, {escape(system)}: {value:.4g}"
        image = (
            f'<img loading=lazy src="{escape(str(sheet))}" alt="{escape(clip)}">' if sheet else ""
        )
        figures.append(f"<details><summary>{words}</summary>{image}</details>")
    return f"<h2>Worst by {escape(heading)}</h2>" + "".join(figures) if figures else ""


_STYLE = """<style>
body { margin: 0 auto; max-width: 1200px; padding: 28px 24px 60px; color: #1d2430;
  font: 15px/1.5 system-ui, sans-serif; }
h2 { font-size: 17px; border-bottom: 1px solid #d9dee5; }
.quiet { color: #5c6675; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: 4px 12px 4px 0; text-align: left; border-bottom: 1px solid #edf0f4;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
img { width: 100%; }
</style>"""
