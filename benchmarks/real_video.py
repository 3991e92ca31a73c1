"""Measures `worldline.reconstruct` on real clips and on composites, beside plain pycolmap.

python benchmarks/real_video.py ../shared/data --out out/real_video.json
"""

import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from jaxtyping import Float64

import worldline
from composites import COMPOSITES, make_composite
from metrics import ate_percent, focal_error, scene_numbers
from plain_colmap import PlainCameras, frames_of, plain_cameras
from results import Entry, Results, commit, our_key, plain_key
from sequences import Sequence, find_sequences, load_truth, true_cameras
from tables import commits, print_report, summary
from worldline.errors import InputError, WorldlineError
from worldline.evaluation.run import machine
from worldline.systems.job import peak_memory


def main(
    data: tyro.conf.Positional[Path] = Path("../shared/data"),
    *,
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = (),
    size: int = 640,
    out: Path | None = None,
    scenes: Path | None = None,
    cache: Path | None = None,
    pycolmap: bool = True,
) -> None:
    """Measure `worldline.reconstruct` on real clips and on composites, beside plain pycolmap.

    Args:
        data: folder of sequences.
        only: measure these alone.
        size: longest side that worldline works at, in pixels; pycolmap gets the frames as they are.
        out: JSON file for the numbers; what it holds of the same code is not measured again.
        scenes: folder to keep the scenes in.
        cache: folder to keep the composites in.
        pycolmap: measure pycolmap, too.
    """
    with tempfile.TemporaryDirectory(prefix="real-video-") as temporary:
        composites = cache or Path(temporary)
        results = Results(out)
        names = chosen_names(data, only)
        for name in names:
            sequence = prepared(name, data, composites)
            measure(results, sequence, "ours", our_key(size), measure_ours, sequence, size, scenes)
            if pycolmap:
                measure(results, sequence, "pycolmap", plain_key(), measure_plain, sequence)
        known = {name: results.sequences[name] for name in names}
        print_report(known, machine())


def chosen_names(data: Path, only: tuple[str, ...]) -> list[str]:
    """The sequences to measure, composites last. InputError for a name that there is not."""
    found = {sequence.name for sequence in find_sequences(data)}
    made = [one.name for one in COMPOSITES if {one.static, one.mover} <= found]
    names = [*sorted(found), *made]
    if unknown := set(only) - set(names):
        raise InputError(f"no sequence is called {', '.join(sorted(unknown))}; there is: {names}")
    return [name for name in names if name in only or not only]


def prepared(name: str, data: Path, composites: Path) -> Sequence:
    """The sequence of that name; a composite is made now, in `composites`."""
    for composite in COMPOSITES:
        if composite.name == name:
            return Sequence(name, make_composite(composite, data, composites / name))
    return Sequence(name, data / name)


def measure(  # what it is called, and what to call
    results: Results,
    sequence: Sequence,
    contestant: str,
    key: str,
    function: Callable[..., Entry],
    *arguments: Any,
) -> None:
    """Measure in a process of its own, unless the results hold it already, and write them."""
    if results.holds(sequence.name, contestant, key):
        return
    print(f"{sequence.name}: {contestant} ...", flush=True)
    try:
        entry = in_child(function, *arguments)
    except Exception as error:  # also a child that died: the others are still worth their numbers
        entry = {"error": f"{type(error).__name__}: {error}"}
    results.keep(sequence.name, contestant, entry | {"key": key, "commit": commit()})
    held = results.sequences
    results.write(machine=machine(), commits=commits(held), summary=summary(held))


def in_child(function: Callable[..., Entry], *arguments: Any) -> Entry:
    """The result of a call in a fresh process, whose peak of memory is the call's own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def measure_ours(sequence: Sequence, size: int, scenes: Path | None) -> Entry:
    """All numbers of our scene; seconds are those of `reconstruct`, saving included."""
    with tempfile.TemporaryDirectory(prefix=".measured-", dir=_made(scenes)) as folder:
        target = Path(folder) / sequence.name  # new each time: nothing is resumed
        started = time.perf_counter()
        scene = worldline.reconstruct(sequence.source, size=size, out=target)
        seconds = time.perf_counter() - started
        entry: Entry = {
            **scene_numbers(scene, load_truth(sequence.folder, scene)),
            "frames": len(scene),
            "rung": scene.cameras.motion,
            "seconds": seconds,
            "peak_gb": scene.provenance["peak_memory"] / 1e9,
            "stages": {stage["name"]: stage["seconds"] for stage in scene.provenance["stages"]},
            "warnings": scene.provenance["warnings"],
        }
        if scenes is not None:
            shutil.rmtree(scenes / sequence.name, ignore_errors=True)
            target.rename(scenes / sequence.name)
    return entry


def measure_plain(sequence: Sequence) -> Entry:
    """ATE of the frames that pycolmap registers, in percent of the whole true path, and the lens.

    The seconds are those of features, matching and mapping.
    """
    with tempfile.TemporaryDirectory(prefix="real-video-") as folder:
        source = sequence.source
        frames = source if source.is_dir() else frames_of(source, Path(folder))
        started = time.perf_counter()
        found = plain_cameras(frames)
        seconds = time.perf_counter() - started
    numbers: Entry = {"seconds": seconds, "peak_gb": peak_memory() / 1e9}
    if found is None:
        return numbers | {"registered": 0.0}
    return numbers | plain_numbers(found, true_cameras(sequence.folder))


def plain_numbers(found: PlainCameras, truth: dict[str, Float64[np.ndarray, "..."]]) -> Entry:
    """The path of the registered frames and the focal length against the truth's."""
    numbers: Entry = {"registered": float(found.registered.mean())}
    if "c2w" in truth:
        numbers["ate"] = ate_percent(found.world_from_camera, truth["c2w"], found.registered)
    if "K" in truth:
        true_focal = truth["K"][..., [0, 1], [0, 1]]
        numbers["focal_error"] = focal_error(np.full_like(true_focal, found.focal), true_focal)
    return numbers


def _made(folder: Path | None) -> Path | None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except WorldlineError as refused:
        sys.exit(f"error: {refused}")
