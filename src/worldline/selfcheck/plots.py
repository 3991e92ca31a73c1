"""Plots as inline SVG: curves over time, and camera paths."""

import numpy as np
from jaxtyping import Bool, Float

_WIDTH, _HEIGHT = 860.0, 220.0  # of a curve's picture
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 14.0, 40.0  # margins for the axes
_SIDE = 420.0  # of one view of a path
_MARGIN = 52.0
_DOTS = 400  # of a path at most: more cannot be told apart
_HALO = 'paint-order="stroke" stroke="#fbfcfd" stroke-width="4"'  # words stay readable on lines
_GOOD, _BAD, _QUIET = "#2457a6", "#c62828", "#8a93a0"


def curve(
    seconds: Float[np.ndarray, " P"],
    values: Float[np.ndarray, " P"],
    unit: str,
    limit: float,
) -> str:
    """Values over time, broken where they are NaN; those above `limit` are red.

    The axis shows at least 1.5 times the limit and is cut at 8 times the limit, so that a single
    wild value does not flatten the rest; values beyond are drawn on its upper end.
    """
    known = np.isfinite(values)
    top = float(np.clip(values[known].max(initial=0) * 1.1, 1.5 * limit, 8 * limit))
    x = _scaled(seconds, float(seconds[0]), float(seconds[-1]), _LEFT, _WIDTH - _RIGHT)
    y = _scaled(np.minimum(values, top), 0.0, top, _HEIGHT - _BOTTOM, _TOP)
    runs = np.split(np.arange(len(x)), np.flatnonzero(np.diff(known)) + 1)
    lines = [_line(x[run], y[run]) for run in runs if known[run[0]]]
    dots = [
        _dot(x[k], y[k], 2.6, _BAD if values[k] > limit else _GOOD, f"{values[k]:.2f} {unit}")
        for k in np.flatnonzero(known)
    ]
    level = _scaled(np.array([limit]), 0.0, top, _HEIGHT - _BOTTOM, _TOP)[0]
    border = (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{level:.1f}" y2="{level:.1f}" '
        f'stroke="{_BAD}" stroke-dasharray="5 4"/>'
        f'<text x="{_WIDTH - _RIGHT}" y="{level - 5:.1f}" text-anchor="end" fill="{_BAD}">'
        f"too large above {limit:.1f} {unit}</text>"
    )
    axes = _axes(float(seconds[0]), float(seconds[-1]), top, unit)
    return _svg(_WIDTH, _HEIGHT, [axes, border, *lines, *dots])


def path_views(path: Float[np.ndarray, "N 3"], registered: Bool[np.ndarray, " N"]) -> str:
    """A camera path from above and from the side, at one scale; unregistered frames are red.

    path: OpenCV world axes: x right, y down, z forward.
    """
    shown = np.unique(np.linspace(0, len(path) - 1, min(len(path), _DOTS)).round().astype(int))
    middle = (path.min(axis=0) + path.max(axis=0)) / 2
    reach = max(float(np.ptp(path, axis=0).max()), 1e-12)
    centred = (path - middle) / reach * (_SIDE - 2 * _MARGIN)
    above = np.stack([centred[:, 0], -centred[:, 2]], axis=-1)
    beside = np.stack([centred[:, 2], centred[:, 1]], axis=-1)
    views = [
        _view(above, registered, shown, 0.0, ("from above", "right", "forward")),
        _view(beside, registered, shown, _SIDE + 20, ("from the side", "forward", "up")),
    ]
    return _svg(2 * _SIDE + 20, _SIDE, views)


def _view(
    points: Float[np.ndarray, "N 2"],
    registered: Bool[np.ndarray, " N"],
    shown: np.ndarray,
    left: float,
    names: tuple[str, str, str],
) -> str:
    """One view of a path: its frames as dots, darker the later, first and last ones named."""
    x, y = points[:, 0] + left + _SIDE / 2, points[:, 1] + _SIDE / 2
    title, across, upward = names
    low, high = _SIDE - 10, left + _SIDE - 10
    parts = [
        f'<rect x="{left + 0.5}" y="0.5" width="{_SIDE - 1}" height="{_SIDE - 1}" '
        'fill="#fbfcfd" stroke="#d9dee5"/>',
        f'<text x="{left + 10}" y="20" font-weight="600">{title}</text>',
        f'<text x="{high}" y="{low}" text-anchor="end" fill="{_QUIET}">{across} &#8594;</text>',
        f'<text x="{left + 10}" y="{low}" fill="{_QUIET}">&#8593; {upward}</text>',
        _line(x, y, "#b9c4d4"),
    ]
    for k in shown:
        colour = _shade(k / max(1, len(points) - 1)) if registered[k] else _BAD
        note = f"frame {k}" if registered[k] else f"frame {k}, not registered"
        parts.append(_dot(x[k], y[k], 3.2 if registered[k] else 4.2, colour, note))
    # The upper end is named above and the lower one below, so that the words never meet.
    lifts = (-8, 18) if y[0] <= y[-1] else (18, -8)
    for k, word, lift in zip((0, -1), ("first", "last"), lifts, strict=True):
        parts.append(
            f'<text x="{x[k]:.1f}" y="{y[k] + lift:.1f}" text-anchor="middle" {_HALO}>{word}</text>'
        )
    return "".join(parts)


def _shade(share: float) -> str:
    """From light blue to dark blue."""
    light, dark = np.array([140, 186, 240]), np.array([16, 46, 104])
    red, green, blue = (light + share * (dark - light)).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _axes(first: float, last: float, top: float, unit: str) -> str:
    low, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [f'<line x1="{_LEFT}" x2="{right}" y1="{low}" y2="{low}" stroke="{_QUIET}"/>']
    for value in ticks(0.0, top, 4):
        y = _scaled(np.array([value]), 0.0, top, low, _TOP)[0]
        parts.append(
            f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e9edf2"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for value in ticks(first, last, 8):
        x = _scaled(np.array([value]), first, last, _LEFT, right)[0]
        parts.append(f'<text x="{x:.1f}" y="{low + 17}" text-anchor="middle">{value:g}</text>')
    parts.append(
        f'<text x="{right}" y="{low + 33}" text-anchor="end" fill="{_QUIET}">seconds</text>'
    )
    parts.append(f'<text x="4" y="{_TOP + 4}" fill="{_QUIET}">{unit}</text>')
    return "".join(parts)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers in [low, high], about so many of them."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    unit = 10.0 ** np.floor(np.log10(rough))
    step = unit * next(m for m in (1, 2, 5, 10) if m * unit >= 0.999 * rough)
    numbers = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    return [float(f"{number:.6g}") + 0.0 for number in numbers]  # + 0.0 makes -0 a 0


def _scaled(
    values: Float[np.ndarray, " P"], low: float, high: float, start: float, end: float
) -> Float[np.ndarray, " P"]:
    """Values from [low, high] to [start, end]; in the middle where the range is empty."""
    if not high > low:
        return np.full(len(values), (start + end) / 2)
    return start + (values - low) / (high - low) * (end - start)


def _line(x: Float[np.ndarray, " P"], y: Float[np.ndarray, " P"], colour: str = _GOOD) -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _dot(x: float, y: float, radius: float, colour: str, note: str) -> str:
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}">'
    return f"{circle}<title>{note}</title></circle>"


def _svg(width: float, height: float, parts: list[str]) -> str:
    """No xmlns: inside HTML it is not needed, and the page then names no address at all."""
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img">{"".join(parts)}</svg>'
