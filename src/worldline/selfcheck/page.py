"""The self-check as one HTML page that needs nothing else: no network, no other file."""

import base64
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from worldline.io.sheet import draw_sheet
from worldline.scene import Scene
from worldline.selfcheck.check import Check
from worldline.selfcheck.findings import Finding
from worldline.selfcheck.numbers import Numbers, Residuals
from worldline.selfcheck.plots import curve, path_views

PAGE = "report.html"  # its name in a scene's folder

_SHEET_HEIGHT = 230  # px of one picture of the sheet at most
_SHEET_WIDTH = 340
_TRAVELS = 1e-6  # scene units: a shorter path is none
_CAMERAS = {
    "free": "moves freely",
    "rotation": "only turns",
    "still": "stands still",
    "unknown": "unknown",
}

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 940px; padding: 28px 24px 60px; background: #fff; color: #1d2430;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 24px; margin: 0 0 2px; }
h2 { font-size: 17px; margin: 34px 0 8px; padding-bottom: 4px; border-bottom: 1px solid #d9dee5; }
p { margin: 6px 0; }
.quiet { color: #5c6675; }
.verdict { margin: 18px 0; padding: 12px 16px; border-left: 5px solid; border-radius: 4px;
  font-size: 17px; font-weight: 600; }
.good { border-color: #2e7d32; background: #eef7ee; }
.care { border-color: #d98a00; background: #fff7e6; }
.grave { border-color: #c62828; background: #fdeeee; }
.findings { margin: 0; padding-left: 20px; }
.findings li { margin: 8px 0; }
.findings b { display: block; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 5px 10px 5px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #edf0f4; }
th { width: 210px; font-weight: 500; color: #5c6675; }
td { font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; display: block; margin: 8px 0;
  font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1d2430; }
img { width: 100%; display: block; margin: 8px 0; }
@media print { body { max-width: none; padding: 0; font-size: 12px; }
  .verdict, svg, img, li, tr { break-inside: avoid; } h2 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def report_page(scene: Scene, check: Check) -> str:
    """HTML that shows a scene's self-check; `check` is of this scene."""
    numbers = check.numbers
    name = escape(str(scene.provenance.get("source") or "scene"))
    sections = [
        f"<h1>{name}</h1>",
        '<p class="quiet">Can this reconstruction be trusted? It was checked against its own '
        "pictures; no truth was known.</p>",
        f'<p class="verdict {_mood(check)}">{escape(check.verdict)}</p>',
        _findings(check.findings),
        "<h2>In numbers</h2>",
        _table(_facts(numbers, scene.provenance)),
        "<h2>Do cameras and depth explain the pictures?</h2>",
        _residuals(numbers),
        "<h2>Camera path</h2>",
        _path(numbers, "m" if scene.metric else "scene units"),
        "<h2>Frames, depth, what moves, tracks</h2>",
        _pictures(scene),
        "<h2>How it was made</h2>",
        _table(_origin(scene.provenance)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: self-check</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def _mood(check: Check) -> str:
    if any(finding.grave for finding in check.findings):
        return "grave"
    return "care" if check.findings else "good"


def _findings(findings: tuple[Finding, ...]) -> str:
    if not findings:
        return ""
    items = [f"<li><b>{escape(one.what)}</b>{escape(one.so)}</li>" for one in findings]
    return f'<ul class="findings">{"".join(items)}</ul>'


def _table(rows: dict[str, str]) -> str:
    cells = [
        f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows.items()
    ]
    return f"<table>{''.join(cells)}</table>"


def _facts(numbers: Numbers, origin: dict[str, Any]) -> dict[str, str]:
    registered = int(numbers.registered.sum())
    return {
        "frames": f"{len(numbers)}, over {numbers.times[-1] - numbers.times[0]:.2f} s",
        "size": _size(numbers),
        "camera": _camera(numbers),
        "focal length": _focal(numbers, str(origin.get("intrinsics_source", ""))),
        "field of view": f"{numbers.field_of_view:.1f}° across",
        "registered": f"{registered} of {len(numbers)} frames ({registered / len(numbers):.0%})",
        "moving": f"{numbers.moving.mean():.1%} of the pixels",
        "depth": _depth(numbers),
        "optical-flow residual": _pixels(numbers.flow),
        "reprojection residual": _pixels(numbers.reprojection),
    }


def _camera(numbers: Numbers) -> str:
    turned = {
        "free": f", turns by up to {numbers.turn:.1f}°",
        "rotation": f", by {numbers.turn:.1f}°",
    }
    return _CAMERAS[numbers.camera] + turned.get(numbers.camera, "")


def _depth(numbers: Numbers) -> str:
    filled = "filled in" if numbers.camera == "free" else "guessed"
    text = f"measured on {numbers.measured:.0%} of the pixels, {filled} on {numbers.filled:.0%}"
    unknown = 1 - numbers.measured - numbers.filled
    return f"{text}, unknown on {unknown:.0%}" if unknown > 0.005 else text


def _size(numbers: Numbers) -> str:
    original, working = ("×".join(map(str, s)) for s in (numbers.original_size, numbers.size))
    return f"{original} px" + (f", worked at {working}" if original != working else "")


def _focal(numbers: Numbers, source: str) -> str:
    sigma, (shortest, longest) = numbers.focal_sigma, numbers.focal_range
    sure = "uncertainty unknown" if np.isnan(sigma) else f"± {sigma:.0f} px (one sigma)"
    if sigma == 0:
        sure = f"px ({source or 'given'})"
    zoom = f"; zooms from {shortest:.0f} to {longest:.0f} px" if longest > shortest else ""
    return f"{numbers.focal:.0f} {sure}{zoom}"


def _pixels(residuals: Residuals) -> str:
    if np.isnan(residuals.median):
        return "could not be measured"
    return f"{residuals.median:.2f} px in the median"


def _residuals(numbers: Numbers) -> str:
    parts = [
        "<p>Where optical flow sees static pixels in the next frame, against where depth and "
        "cameras put them. Each point is the median over one frame, in pixels of the original. "
        "A few tenths of a pixel is what optical flow itself is unsure of.</p>"
    ]
    if np.isnan(numbers.flow.median):
        parts.append("<p>Could not be measured: too few pixels stand still and have a depth.</p>")
    else:
        seconds = numbers.times[numbers.flow.pairs[:, 0]]
        parts.append(curve(seconds, numbers.flow.pixels, "px", numbers.tolerance))
    return "".join([*parts, _reprojection(numbers)])


def _reprojection(numbers: Numbers) -> str:
    if np.isnan(numbers.reprojection.median):
        return (
            "<p>The reprojection residual needs depth that was measured in two frames; there is "
            "too little.</p>"
        )
    first, second = numbers.reprojection.pairs[0]
    there = "the next frame" if second - first == 1 else f"the frame {second - first} later"
    return (
        f"<p>Reprojection residual: <b>{_pixels(numbers.reprojection)}</b>. A static pixel is "
        f"carried by its depth to {there} and back by the depth measured there; "
        "this is how far it misses itself.</p>"
    )


def _path(numbers: Numbers, unit: str) -> str:
    length = float(np.linalg.norm(np.diff(numbers.path, axis=0), axis=1).sum())
    if length <= _TRAVELS:
        return "<p>There is none to draw: the camera does not travel.</p>"
    left = int((~numbers.registered).sum())
    red = f" The {left} red ones could not be registered." if left else ""
    return (
        f"<p>{length:.3g} {unit} long. Each dot is a frame, darker the later.{red}</p>"
        + path_views(numbers.path, numbers.registered)
    )


def _pictures(scene: Scene) -> str:
    width, height = scene.size
    wide = min(_SHEET_WIDTH, round(_SHEET_HEIGHT * width / height))
    file = BytesIO()
    Image.fromarray(draw_sheet(scene, width=max(1, wide))).save(file, format="JPEG", quality=82)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return (
        "<p>From left to right: the frame; its depth, near is red and far is blue, darker where "
        "it was filled in, grey if all of it is a guess; what moves, in orange; where points were "
        "in the frames before, those that move in bright orange.</p>"
        f'<img alt="frames, depth, moving pixels, tracks" src="data:image/jpeg;base64,{data}">'
    )


def _origin(origin: dict[str, Any]) -> dict[str, str]:
    """Where the scene comes from; settings that were left alone are not told."""
    settings = {k: v for k, v in origin.get("settings", {}).items() if v is not None}
    stages = origin.get("stages", [])
    total = sum(stage["seconds"] for stage in stages)
    times = ", ".join(f"{stage['name']} {stage['seconds']:.1f}" for stage in stages)
    rows = {
        "system": f"{origin.get('system', 'unknown')} {origin.get('revision', '')}".strip(),
        "Worldline": str(origin.get("worldline", "")),
        "read": str(origin.get("kept_line", "")),
        "settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
        "seconds": f"{total:.1f}: {times}" if stages else "",
        "notes": "; ".join(map(str, origin.get("warnings", []))),
    }
    return {name: text for name, text in rows.items() if text}
