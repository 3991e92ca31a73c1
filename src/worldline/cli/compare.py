"""`worldline compare`: two scenes of the same clip, in numbers and beside each other."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tyro

from worldline.cli.options import Flag
from worldline.cli.output import console, errors, print_json
from worldline.cli.view import serve, tell_url


def compare(
    a: tyro.conf.Positional[Path],
    b: tyro.conf.Positional[Path],
    *,
    view: Flag = False,
    json: Flag = False,
) -> None:
    """Compare two stored scenes of the same clip: cameras, depth, and what moves.

    Args:
        a: a scene's directory.
        b: another one's, of the same frames; its working size may differ.
        view: then show the two beside each other in the browser, until Ctrl-C; B is scaled to A.
        json: print one JSON object instead of words.
    """
    from worldline.evaluation.comparison import compare_scenes
    from worldline.scene import load_scene

    scenes = load_scene(a), load_scene(b)
    found = compare_scenes(*scenes)
    if json:
        print_json(asdict(found))
    else:
        console().print("\n".join(comparison_lines(found)))
    if view:
        scale = found.depth_scale if math.isfinite(found.depth_scale) else 1.0
        serve(lambda: scenes, scales=(1.0, scale), tell=errors().print if json else tell_url)


def comparison_lines(found: Any) -> list[str]:
    """A `Comparison` as a table: A, B and the difference."""
    a, b = found.a, found.b
    depth = (
        f"{found.depth_abs_rel:.2%} of the depth (AbsRel) on the {found.both_measured:.0%} that "
        f"both measured, B scaled by {found.depth_scale:.4g}"
    )
    rows = [
        ("", "A", "B", "difference"),
        ("frames", f"{a.frames}", f"{b.frames}", ""),
        ("size", _size(a), _size(b), ""),
        ("camera", a.camera, b.camera, f"{found.rotation:.3f} degrees of rotation"),
        ("path", f"{a.path_length:.3g}", f"{b.path_length:.3g}", _path(found.ate_percent)),
        ("registered", f"{a.registered}", f"{b.registered}", ""),
        ("focal length", f"{a.focal:.1f} px", f"{b.focal:.1f} px", f"{found.focal_percent:.2f} %"),
        ("depth", f"{a.measured:.0%}", f"{b.measured:.0%}", depth if found.both_measured else "-"),
        ("moving", f"{a.moving:.1%}", f"{b.moving:.1%}", f"IoU {found.mask_iou:.3f}"),
        ("seconds", _seconds(a.seconds), _seconds(b.seconds), ""),
    ]
    lines = [f"{name:<13} {one:>9} {two:>9}   {gap}".rstrip() for name, one, two, gap in rows]
    if found.same_input is False:
        lines.append("note          the two were made of different files")
    return lines


def _size(side: Any) -> str:
    return "x".join(map(str, side.size))


def _path(percent: float) -> str:
    if math.isnan(percent):
        return "none to compare: a camera does not travel, or there are too few frames"
    return f"{percent:.3f} % of A's path (ATE after Sim(3))"


def _seconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{seconds:.1f}"
