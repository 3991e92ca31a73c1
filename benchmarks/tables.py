"""Results as tables for a README, and the few numbers that sum them up."""

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from composites import COMPOSITES
from results import Entry

Sequences = dict[str, dict[str, Entry]]

HAVE_MASKS = ("davis_camel", "davis_horsejump-high", "davis_parkour")
NOTHING_MOVES = ("tum_fr1_xyz", "7scenes_redkitchen", "strecha_fountain_P11", "nerf_fox")

# heading, contestant, number, format
_CAMERAS = (
    ("rung", "ours", "rung", "{}"),
    ("reg.", "ours", "registered", "{:.0%}"),
    ("ATE %", "ours", "ate", "{:.2f}"),
    ("RPE_t %", "ours", "rpe_translation", "{:.3f}"),
    ("RPE_r °", "ours", "rpe_rotation", "{:.3f}"),
    ("f err %", "ours", "focal_error", "{:.1f}"),
    ("s", "ours", "seconds", "{:.0f}"),
    ("GB", "ours", "peak_gb", "{:.2f}"),
    ("pycolmap: reg.", "pycolmap", "registered", "{:.0%}"),
    ("ATE %", "pycolmap", "ate", "{:.2f}"),
    ("f err %", "pycolmap", "focal_error", "{:.1f}"),
    ("s", "pycolmap", "seconds", "{:.0f}"),
)
_PICTURES = (
    ("mask J", "ours", "mask_iou", "{:.3f}"),
    ("moving", "ours", "moving", "{:.1%}"),
    ("AbsRel", "ours", "abs_rel", "{:.3f}"),
    ("δ<1.25", "ours", "delta", "{:.3f}"),
    ("measured", "ours", "measured", "{:.0%}"),
    ("flow t+1 px", "ours", "flow_1", "{:.2f}"),
    ("flow t+4 px", "ours", "flow_4", "{:.2f}"),
)


def print_report(sequences: Sequences, machine: str) -> None:
    """Both tables, what failed, the summary and the machine, as markdown on stdout."""
    console = Console(file=sys.stdout, width=400, highlight=False, markup=False)
    cameras = _table(_CAMERAS, "ATE ours / pycolmap")
    for name in sequences:
        cameras.add_row(name, *_cells(sequences[name], _CAMERAS), _cell(ate_ratio(sequences, name)))
    pictures = _table(_PICTURES)
    for name in sequences:
        pictures.add_row(name, *_cells(sequences[name], _PICTURES))
    console.print(cameras, pictures)
    for name, entries in sequences.items():
        for contestant, entry in entries.items():
            if "error" in entry:
                console.print(f"- {name}, {contestant}: {entry['error']}")
    for words, value in summary(sequences).items():
        console.print(f"- {words}: {_cell(value)}")
    console.print(f"- worldline {', '.join(commits(sequences))}; {machine}")


def summary(sequences: Sequences) -> dict[str, float | None]:
    """The numbers to quote, by what they are; None where what they need was not measured."""
    hard = [one.name for one in COMPOSITES if _misled(sequences, one.name, one.static)]
    ratios = [ratio for name in hard if (ratio := ate_ratio(sequences, name)) is not None]
    moving = _ours(sequences, NOTHING_MOVES, "moving")
    clips = _ours(sequences, HAVE_MASKS, "mask_iou")
    composites = _ours(sequences, [one.name for one in COMPOSITES], "mask_iou")
    return {
        "ATE ours / pycolmap, geometric mean over the composites that mislead pycolmap": (
            float(np.exp(np.mean(np.log(ratios)))) if ratios else None
        ),
        "composites that mislead pycolmap (ATE over twice that of the clean sequence)": len(hard),
        "mean J, three DAVIS clips": float(np.mean(clips)) if clips else None,
        "mean J, composites": float(np.mean(composites)) if composites else None,
        "worst share called moving where nothing moves": max(moving, default=None),
    }


def commits(sequences: Sequences) -> list[str]:
    """The states of worldline that our entries come from: one, or they do not compare."""
    return sorted({entries["ours"]["commit"] for entries in sequences.values()})


def ate_ratio(sequences: Sequences, name: str) -> float | None:
    """Our ATE over pycolmap's; None without both."""
    ours = _number(sequences, name, "ours", "ate")
    plain = _number(sequences, name, "pycolmap", "ate")
    return ours / plain if ours and plain else None


def _misled(sequences: Sequences, name: str, clean: str) -> bool:
    """Whether the object in a composite ruins pycolmap's cameras."""
    there = _number(sequences, name, "pycolmap", "ate")
    without = _number(sequences, clean, "pycolmap", "ate")
    return there is not None and without is not None and there > 2 * without


def _ours(sequences: Sequences, names: Iterable[str], number: str) -> list[float]:
    """Our numbers of all the names; none at all if one is missing: the rest would flatter."""
    found = [_number(sequences, name, "ours", number) for name in names]
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else []


def _number(sequences: Sequences, name: str, contestant: str, number: str) -> float | None:
    return sequences.get(name, {}).get(contestant, {}).get(number)


def _table(columns: tuple[tuple[str, ...], ...], *more: str) -> Table:
    """An empty table with the columns' headings."""
    table = Table(box=box.MARKDOWN)
    table.add_column("sequence", no_wrap=True)
    for heading in [*(column[0] for column in columns), *more]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _cells(entries: dict[str, Entry], columns: tuple[tuple[str, ...], ...]) -> list[str]:
    return [
        _cell(entries.get(contestant, {}).get(number), words)
        for _, contestant, number, words in columns
    ]


def _cell(value: Any, words: str = "{:.3g}") -> str:
    return "-" if value is None else words.format(value)
