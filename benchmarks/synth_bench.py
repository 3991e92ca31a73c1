"""Measures `worldline.reconstruct` on synth-bench, against exact truth, by difficulty.

python benchmarks/synth_bench.py --out out/synth_bench.json
"""

import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

import worldline
from real_video import in_child
from results import Entry, Results, commit, our_key
from worldline.errors import WorldlineError
from worldline.evaluation.reconstruction import SceneTruth, evaluate_against
from worldline.evaluation.run import machine
from worldline.io.encoder import write_video
from worldline.synth.bench import (
    CLIPS_EACH,
    MIX_OF,
    VERSION,
    BenchClip,
    bench_list,
    draw_bench_clip,
)
from worldline.synth.clip_files import frame_rate
from worldline.systems.job import peak_memory

COLUMNS = (  # heading, number, format
    ("ATE %", "ate_percent", "{:.2f}"),
    ("RPE_r °", "rpe_rotation", "{:.3f}"),
    ("f err %", "focal_error_percent", "{:.1f}"),
    ("AbsRel static", "depth_absrel_static_measured", "{:.3f}"),
    ("measured", "static_measured_share", "{:.0%}"),
    ("AbsRel moving", "depth_absrel_moving", "{:.3f}"),
    ("moving", "moving_share", "{:.1%}"),
    ("mask IoU", "mask_iou", "{:.3f}"),
    ("false moving", "false_moving", "{:.1%}"),
    ("EPE m", "displacement_epe_moving", "{:.3f}"),
    ("EPE m of zero", "displacement_epe_zero", "{:.3f}"),
    ("s", "seconds", "{:.0f}"),
)


def main(
    *,
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = (),
    each: int = CLIPS_EACH,
    system: str = "classic",
    out: Path | None = None,
) -> None:
    """Measure `worldline.reconstruct` on synth-bench, against exact truth.

    Args:
        only: measure these clips or difficulties alone.
        each: at most so many clips of each difficulty.
        system: which one; a name in worldline.systems.SYSTEMS.
        out: JSON file for the numbers; what it holds of the same code is not measured again.
    """
    results = Results(out)
    clips = [one for one in bench_list(only or None) if _number(one) <= each]
    for one in sorted(clips, key=_number):  # a run that is cut off has something of everything
        measure(results, one, system)
    print(report({one.name: results.sequences[one.name][system] for one in clips}))


def measure(results: Results, one: BenchClip, system: str) -> None:
    """Measure one clip in a process of its own, unless the results hold it already."""
    key = f"{our_key(max(one.size))}-{VERSION}"
    if results.holds(one.name, system, key):
        return
    print(f"{one.name}: {system} ...", flush=True)
    try:
        entry = in_child(measured, one, system)
    except Exception as error:  # also a child that died: the others are still worth their numbers
        entry = {"error": f"{type(error).__name__}: {error}"}
    results.keep(one.name, system, entry | {"key": key, "commit": commit()})
    results.write(machine=machine(), version=VERSION)


def measured(one: BenchClip, system: str) -> Entry:
    """All errors of the scene that a system makes of the clip's video; lengths are metres."""
    clip = draw_bench_clip(one)
    with tempfile.TemporaryDirectory(prefix="synth-bench-") as folder:
        video = Path(folder) / f"{one.name}.mp4"
        write_video(video, clip.views.frames, one.size, frame_rate(clip))
        started = time.perf_counter()
        scene = worldline.reconstruct(video, system=system, size=max(one.size))
        seconds = time.perf_counter() - started
    truth = SceneTruth(clip.scene)
    still = ~truth.dynamic & np.isfinite(truth.depth)
    return {
        **vars(evaluate_against(truth, scene)),
        "moving_share": float(truth.dynamic.mean()),
        "false_moving": float((np.asarray(scene.dynamic) > 0.5)[still].mean()),
        "rung": scene.cameras.motion,
        "true_camera": clip.scene.cameras.motion,
        "seconds": seconds,
        "peak_gb": peak_memory() / 1e9,
        "fingerprint": clip.provenance["fingerprint"],
    }


def report(entries: dict[str, Entry]) -> str:
    """Markdown: a row for each difficulty with the medians over its clips, then what failed."""
    lines = ["| difficulty | clips | rungs | " + " | ".join(name for name, _, _ in COLUMNS) + " |"]
    lines.append("|---" * (3 + len(COLUMNS)) + "|")
    for difficulty in MIX_OF:
        own = [e for name, e in entries.items() if name.rpartition("-")[0] == difficulty]
        if not own:
            continue
        good = [entry for entry in own if "error" not in entry]
        rungs = ", ".join(_rung(entry) for entry in good)
        cells = [_median((entry[part] for entry in good), shape) for _, part, shape in COLUMNS]
        lines.append(
            f"| {difficulty} | {len(good)} of {len(own)} | {rungs} | {' | '.join(cells)} |"
        )
    failed = [f"- {name}: {entry['error']}" for name, entry in entries.items() if "error" in entry]
    return "\n".join([*lines, *failed])


def _rung(entry: Entry) -> str:
    """What explained the camera, and what it really did where that is something else."""
    same = entry["rung"] == entry["true_camera"]
    return entry["rung"] if same else f"{entry['rung']} (is {entry['true_camera']})"


def _median(values: Iterable[Any], shape: str) -> str:
    known = [value for value in values if value is not None and np.isfinite(value)]
    return shape.format(float(np.median(known))) if known else "-"


def _number(one: BenchClip) -> int:
    return int(one.name.rpartition("-")[2])


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except WorldlineError as refused:
        sys.exit(f"error: {refused}")
