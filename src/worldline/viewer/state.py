"""What is shown, in one value."""

from dataclasses import dataclass
from typing import Literal, get_args

Show = Literal["each frame", "all frames", "one frame"]
Colour = Literal["picture", "moving", "source frame"]
SHOWS: tuple[Show, ...] = get_args(Show)
COLOURS: tuple[Colour, ...] = get_args(Colour)


@dataclass(frozen=True)
class ViewState:
    """What the viewer shows.

    show: "each frame" has the points of the frame at `time`; "all frames" gathers every frame's
        points where they are at `time`; "one frame" moves the points of `source` to `time`.
    time: frame whose time it is.
    source: frame whose points "one frame" shows.
    budget: at most so many points.
    unsure: share of the pixels, the least sure ones, that is hidden.
    size: of a point, 1 for the patch of surface that it stands for.
    trail: how many frames back the trails reach.
    follow: look through the camera of `time`.
    speed: of the playback, 1 for the clip's own.
    """

    show: Show = "each frame"
    time: int = 0
    source: int = 0
    budget: int = 150_000
    unsure: float = 0.0
    static: bool = True
    moving: bool = True
    colour: Colour = "picture"
    size: float = 1.2
    trails: bool = True
    trail: int = 24
    cameras: bool = True
    follow: bool = False
    playing: bool = False
    speed: float = 1.0
