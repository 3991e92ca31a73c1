"""What is shown, in one value."""

from dataclasses import dataclass
from typing import Literal, get_args

Show = Literal["each frame", "all frames", "one frame"]
Colour = Literal["picture", "moving", "source frame", "scene"]
SHOWS: tuple[Show, ...] = get_args(Show)
FINEST = 1_000_000  # points, the largest budget
COLOURS: tuple[Colour, ...] = get_args(Colour)


@dataclass(frozen=True)
class ViewState:
    """What the viewer shows.

    show: "each frame" has the points of the frame at `time`; "all frames" gathers every frame's
        points where they are at `time`; "one frame" moves the points of `source` to `time`.
    time: frame whose time it is.
    source: frame whose points "one frame" shows.
    budget: at most so many points while something changes; four times as many at rest.
    unsure: share of the pixels, the least sure ones, that is hidden.
    size: of a point, 1 for the patch of surface that it stands for; discs cover it from 1.4 on.
    trail: how many frames back the trails reach.
    follow: look through the camera of `time`.
    speed: of the playback, 1 for the clip's own.
    colour: "scene" tells two scenes apart.
    apart: how far to the right a second scene stands, 1 for beside the first and 0 for on it.
    """

    show: Show = "each frame"
    time: int = 0
    source: int = 0
    budget: int = 150_000
    unsure: float = 0.0
    static: bool = True
    moving: bool = True
    colour: Colour = "picture"
    size: float = 1.5
    trails: bool = True
    trail: int = 24
    cameras: bool = True
    follow: bool = False
    playing: bool = False
    speed: float = 1.0
    apart: float = 1.0
