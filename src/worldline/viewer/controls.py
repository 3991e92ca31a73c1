"""The panel beside the picture: each control is one field of the state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import viser

from worldline.scene import Scene
from worldline.viewer.state import COLOURS, FINEST, SHOWS, ViewState


@dataclass
class Controls:
    """What the app reads and writes again after it has made the panel."""

    time: viser.GuiSliderHandle[int]
    chosen: viser.GuiMarkdownHandle
    forget: viser.GuiButtonHandle
    screenshot: viser.GuiButtonHandle
    turntable: viser.GuiButtonHandle


def add_controls(
    gui: viser.GuiApi, scenes: Sequence[Scene], state: ViewState, change: Callable[..., None]
) -> Controls:
    """Add the panel. `change(name=value)` is called for each field of the state that changes."""
    count = len(scenes[0])
    last = max(count - 1, 1)  # a slider needs a length

    def bind(name: str, handle: Any) -> Any:
        handle.on_update(lambda event: change(**{name: event.target.value}))
        return handle

    whose = "Whose points are shown"
    bind("show", gui.add_dropdown("Show", SHOWS, initial_value=state.show, hint=whose))
    time = bind("time", gui.add_slider("Time", 0, last, 1, state.time, hint="Target time (frame)"))
    source = gui.add_slider(
        "Source", 0, last, 1, state.source, hint='Whose points "one frame" moves to the time'
    )
    bind("source", source)
    bind("playing", gui.add_checkbox("Play", state.playing))
    bind("speed", gui.add_slider("Speed", 0.1, 10.0, 0.1, state.speed))
    if len(scenes) > 1:
        hint = "How far beside A (left) B stands; 0 lays one over the other"
        bind("apart", gui.add_slider("Apart", 0.0, 2.0, 0.05, state.apart, hint=hint))
    offered = COLOURS if len(scenes) > 1 else tuple(c for c in COLOURS if c != "scene")
    with gui.add_folder("Points"):
        bind("budget", gui.add_slider("At most", 5_000, FINEST, 5_000, state.budget))
        bind("size", gui.add_slider("Size", 0.3, 4.0, 0.1, state.size))
        bind("unsure", gui.add_slider("Hide least sure", 0.0, 0.95, 0.05, state.unsure))
        bind("colour", gui.add_dropdown("Colour", offered, initial_value=state.colour))
        bind("static", gui.add_checkbox("Static", state.static))
        bind("moving", gui.add_checkbox("Moving", state.moving))
    with gui.add_folder("Around them"):
        bind("trails", gui.add_checkbox("Trails", state.trails))
        bind("trail", gui.add_slider("Trail length", 1, max(count, 2), 1, state.trail))
        bind("cameras", gui.add_checkbox("Cameras", state.cameras))
        bind("follow", gui.add_checkbox("Follow camera", state.follow))
    with gui.add_folder("Take away"):
        screenshot = gui.add_button("Screenshot (PNG)")
        turntable = gui.add_button("Turntable (MP4)")
    with gui.add_folder("Chosen point"):
        chosen = gui.add_markdown("Click a point to follow it.")
        forget = gui.add_button("Forget it")
    return Controls(time, chosen, forget, screenshot, turntable)
