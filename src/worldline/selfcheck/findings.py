"""What a user should know before trusting a scene: findings in plain words, each with advice."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from worldline.selfcheck.numbers import Numbers

_GUESSED_FOCAL = 0.08  # sigma over focal length; cameras that travel tell it to some percent
_MOSTLY_MOVING = 0.6  # of the pixels
_JUMP = 1.2  # of the brightness; pans over bright and dark stay below
_FEW_MEASURED = 0.3  # of the static pixels
_SOMETIMES, _OFTEN = 0.1, 0.25  # of the steps, with a flow residual that is too large


@dataclass(frozen=True)
class Finding:
    """One reason for doubt.

    name: a stable word for programs.
    what: one sentence on what was found.
    so: what follows from it, and what to do.
    doubts: the parts of the scene that it touches.
    grave: the scene as a whole should not be relied on.
    """

    name: str
    what: str
    so: str
    doubts: tuple[str, ...]
    grave: bool = False


def find(numbers: Numbers) -> tuple[Finding, ...]:
    """All findings, the gravest first; none for a scene that its pictures agree with."""
    found = [finding for look in _LOOKS for finding in look(numbers)]
    if not found and not np.isfinite(numbers.flow.median):
        found = [_unchecked()]
    return tuple(sorted(found, key=lambda finding: not finding.grave))


def verdict(findings: tuple[Finding, ...]) -> str:
    """Whether the scene can be trusted, in one line."""
    if not findings:
        return "Yes: what cameras and depth predict is what the pictures show."
    if any(finding.grave for finding in findings):
        return "No, not as it is: its cameras do not explain what the pictures show."
    parts = list(dict.fromkeys(part for finding in findings for part in finding.doubts))
    return f"In part: rely with care on {_listed(parts)}. No other doubt was found."


def _standing(numbers: Numbers) -> Iterator[Finding]:
    if numbers.camera == "still":
        yield Finding(
            "still",
            "The camera stands still.",
            "Without parallax depth cannot be measured: all of it is a guess. Positions in the "
            "picture and what moves can be used, distances cannot. To measure depth, film while "
            "moving a step or two sideways.",
            ("the depth",),
        )


def _turning(numbers: Numbers) -> Iterator[Finding]:
    if numbers.camera == "rotation":
        yield Finding(
            "rotation",
            f"The camera only turns, by up to {numbers.turn:.0f} degrees.",
            "Turning on the spot gives no parallax: depth is a guess, though directions and "
            "what moves can be used. To measure depth, film while moving sideways.",
            ("the depth",),
        )


def _single(numbers: Numbers) -> Iterator[Finding]:
    if numbers.camera == "unknown":
        yield Finding(
            "single",
            "Neither the camera's motion nor depth can be told from what was given.",
            "One frame does not tell depth. Give several frames, taken from different places.",
            ("the depth", "the cameras"),
        )


def _guessed_focal(numbers: Numbers) -> Iterator[Finding]:
    share = numbers.focal_sigma / numbers.focal
    if share <= _GUESSED_FOCAL:
        return
    sure = f"± {share:.0%}" if np.isfinite(share) else "with nothing known of it"
    yield Finding(
        "focal",
        f"The focal length is a guess: {numbers.focal:.0f} px {sure}.",
        "A wrong one stretches or flattens the scene along the line of sight. If you know it, "
        "give it with --focal or --intrinsics.",
        ("the focal length",),
    )


def _mostly_moving(numbers: Numbers) -> Iterator[Finding]:
    share = float(numbers.moving.mean())
    if share > _MOSTLY_MOVING:
        yield Finding(
            "moving",
            f"{share:.0%} of the pixels move.",
            "Little is left that stands and tells the cameras, and movers may have been taken for "
            "the ground. Look at the masks; film more of the surroundings.",
            ("the cameras", "the masks"),
        )


def _exposure_jump(numbers: Numbers) -> Iterator[Finding]:
    jumps = np.abs(np.log(numbers.exposure))
    if not len(jumps) or jumps.max() <= np.log(_JUMP):
        return
    frame = int(jumps.argmax()) + 1
    how = "brighter" if numbers.exposure[frame - 1] > 1 else "darker"
    change = abs(numbers.exposure[frame - 1] - 1)
    more = int((jumps > np.log(_JUMP)).sum()) - 1
    rest = f", and there {'is' if more == 1 else 'are'} {more} more such" if more else ""
    yield Finding(
        "exposure",
        f"The picture gets {change:.0%} {how} at frame {frame} "
        f"({numbers.times[frame]:.2f} s){rest}.",
        "Points are followed less surely across a jump of the exposure. Lock the exposure when "
        "filming, or cut the clip there with --start and --end.",
        ("the motion across the jump",),
    )


def _unregistered(numbers: Numbers) -> Iterator[Finding]:
    left = np.flatnonzero(~numbers.registered)
    if not len(left):
        return
    yield Finding(
        "unregistered",
        f"{len(left)} of {len(numbers)} frames could not be registered: {_ranges(left)}.",
        "Their cameras are interpolated between those of other frames. Leave their points out, "
        "or try without those frames (--start, --end), or with a smaller --stride.",
        ("the cameras of the unregistered frames",),
        grave=len(left) > 0.5 * len(numbers),
    )


def _large_flow(numbers: Numbers) -> Iterator[Finding]:
    known = numbers.flow.pixels[np.isfinite(numbers.flow.pixels)]
    large = int((known > numbers.tolerance).sum())
    if large <= _SOMETIMES * len(known):
        return
    often = large > _OFTEN * len(known)
    worst = int(numbers.flow.pairs[np.nanargmax(numbers.flow.pixels), 0])
    yield Finding(
        "flow",
        f"Optical flow and cameras disagree: by more than {numbers.tolerance:.1f} px in {large} "
        f"of {len(known)} steps, most of all at frame {worst} ({numbers.times[worst]:.2f} s).",
        "Cameras, depth or masks are wrong where the residual is high. Give the focal length "
        "if you know it (--focal), keep more frames (smaller --stride) or cut out the bad ones "
        "(--start, --end). Photographs taken far apart can also mislead the optical flow itself.",
        ("the cameras" if often else "the cameras at some steps", "the depth there"),
        grave=often,
    )


def _little_depth(numbers: Numbers) -> Iterator[Finding]:
    if numbers.camera == "free" and numbers.measured_static < _FEW_MEASURED:
        yield Finding(
            "depth",
            f"Only {numbers.measured_static:.0%} of the static pixels have a measured depth.",
            "The rest is filled in from around it. Keep to pixels with confidence > 0; more "
            "sideways motion, more texture or a larger --size measure more.",
            ("the depth that is filled in",),
        )


_LOOKS: tuple[Callable[[Numbers], Iterator[Finding]], ...] = (
    _large_flow,
    _unregistered,
    _single,
    _standing,
    _turning,
    _little_depth,
    _guessed_focal,
    _mostly_moving,
    _exposure_jump,
)


def _unchecked() -> Finding:
    return Finding(
        "unchecked",
        "Nothing could be checked against the pictures.",
        "The frames are too small, or too few of their pixels stand still and have a measured "
        "depth. Try a larger --size.",
        ("the cameras", "the depth"),
    )


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _ranges(frames: np.ndarray) -> str:
    """Frame numbers in words: "frames 3, 7-9"; only the first few runs."""
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    words = [f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    more = f" and {len(words) - 6} more runs" if len(words) > 6 else ""
    return f"frame{'s' if len(frames) > 1 else ''} {', '.join(words[:6])}{more}"
