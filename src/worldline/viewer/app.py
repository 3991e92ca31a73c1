"""The live viewer: a state, a stage for each scene, and a loop that keeps the page up to them."""

import io
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import viser
from jaxtyping import UInt8
from PIL import Image

from worldline.scene import Scene
from worldline.viewer.controls import add_controls
from worldline.viewer.placement import fields_of_view, orbit
from worldline.viewer.server import close_server
from worldline.viewer.stage import Stage, differ, viser_pose
from worldline.viewer.state import FINEST, ViewState
from worldline.viewer.turntable import encode, times_of

_TURNTABLE = 96  # pictures
_FIELD_OF_VIEW = float(np.radians(45))  # vertical
_FIRST = 30_000  # points of the first picture
_REST = 1.0  # seconds without a change or a newcomer, after which more points are drawn
_FINER = 4  # times as many, at each such rest
_BESIDE = 1.3  # of the distance to the scene: how far apart two of them stand


class Viewer:
    """One scene, or two beside each other, on a local web page.

    `run` draws what `change` asks for, until `stop`.

    server: see `open_server`.
    scenes: one, or two with as many frames as each other; they start at the same time and place.
    scales: shown units per scene unit, one for each scene.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        scenes: Sequence[Scene],
        state: ViewState,
        *,
        scales: Sequence[float] | None = None,
    ) -> None:
        self.server, self.scene = server, scenes[0]
        self.state = replace(state, trail=min(state.trail, max(len(self.scene), 2)))
        api = self.server.scene
        self.stages = [
            Stage(api, scene, which, scale)
            for which, scene, scale in zip((0, 1), scenes, scales or (1.0, 1.0), strict=False)
        ]
        self.placement = self.stages[0].placement
        self._drawn: ViewState | None = None
        self._last_joined = 0.0
        self._changed, self._lock, self._ended = threading.Event(), threading.Lock(), False
        self._arrange()
        self.controls = add_controls(self.server.gui, scenes, self.state, self.change)
        self.controls.forget.on_click(lambda _: self._forget())
        self.controls.screenshot.on_click(lambda event: self._screenshot(event.client))
        self.controls.turntable.on_click(lambda event: self._turntable(event.client))
        self.server.scene.on_click()(self._clicked)
        self.server.on_client_connect(self._joined)
        self._changed.set()

    def change(self, **fields: Any) -> None:
        """Set fields of the state; times beyond the clip become its last frame."""
        last = len(self.scene) - 1
        for name in {"time", "source"} & fields.keys():
            fields[name] = min(int(fields[name]), last)
        with self._lock:
            self.state = replace(self.state, **fields)
        self._changed.set()

    def run(self) -> None:
        """Draw whatever changes, and play, until `stop` is called. What rests is drawn finer."""
        due = time.perf_counter()
        while True:
            state = self.state
            wait = max(0.0, due - time.perf_counter()) if state.playing else self._until_finer()
            changed = self._changed.wait(wait)
            if self._ended:
                return
            if changed:
                self._changed.clear()
                self.draw(first(self.state) if self._drawn is None else self.state)
            elif state.playing:
                following = (state.time + 1) % len(self.scene)
                due = time.perf_counter() + self._pause(state)
                self.controls.time.value = following  # type: ignore[misc] # viser hides its setter
                self.change(time=following)
            elif self._rests():
                self.draw(self._finer())

    def stop(self) -> None:
        """End `run` and close the page."""
        self._ended = True
        self._changed.set()
        close_server(self.server)

    def draw(self, state: ViewState) -> None:
        """Bring the page to the state."""
        with self.server.atomic():
            self._set_apart(state.apart)
            for stage in self.stages:
                stage.draw(replace(state, budget=state.budget // len(self.stages)))
        if state.follow and differ(self._drawn, state, "time", "follow"):
            for client in self.server.get_clients().values():
                self._look_through(client, state)
        self._drawn = state

    def _until_finer(self) -> float | None:
        """Seconds to wait before more points may be drawn; None if all are."""
        return None if self._drawn == self._finer() else _REST

    def _rests(self) -> bool:
        """Whether somebody looks, and has had the time to see what is drawn."""
        seen = time.perf_counter() - self._last_joined
        return bool(self.server.get_clients()) and seen >= _REST

    def _finer(self) -> ViewState:
        """The state with more points than are drawn now."""
        budget = 0 if self._drawn is None else _FINER * self._drawn.budget
        finest = max(self.state.budget, min(_FINER * self.state.budget, FINEST))
        return replace(self.state, budget=min(budget, finest))

    def _arrange(self) -> None:
        """What does not change with the state: theme, directions, first view."""
        server, placement = self.server, self.placement
        server.scene.set_up_direction("-y")
        server.scene.world_axes.visible = False
        beside = 0.5 * _BESIDE * placement.distance * (len(self.stages) - 1) * self.state.apart
        sideways, back = np.array([beside, 0.0, 0.0]), np.array([0.0, 0.0, -1.2 * beside])
        server.initial_camera.position = placement.eye + sideways + back
        server.initial_camera.look_at = placement.target + sideways
        server.initial_camera.up = np.array([0.0, -1.0, 0.0])
        server.initial_camera.fov = _FIELD_OF_VIEW
        server.initial_camera.near = placement.distance / 200
        server.initial_camera.far = placement.distance * 500

    def _set_apart(self, apart: float) -> None:
        """Put the second scene to the right of the first."""
        for k, stage in enumerate(self.stages[1:], 1):
            stage.node.position = (k * apart * _BESIDE * self.placement.distance, 0.0, 0.0)

    def _look_through(self, client: viser.ClientHandle, state: ViewState) -> None:
        wxyz, position = viser_pose(self.scene.cameras.world_from_camera[state.time])
        with client.atomic():
            client.camera.wxyz, client.camera.position = wxyz, position
            client.camera.fov = float(fields_of_view(self.scene)[state.time])

    def _joined(self, client: viser.ClientHandle) -> None:
        if self.state.follow:
            self._look_through(client, self.state)
        self._last_joined = time.perf_counter()

    def _clicked(self, event: viser.SceneClickEvent) -> None:
        if (state := self._drawn) is None:
            return
        state = replace(state, budget=state.budget // len(self.stages))
        ray = np.array(event.ray_origin), np.array(event.ray_direction)
        hits = [
            (hit, stage) for stage in self.stages if (hit := stage.hit(*ray, state)) is not None
        ]
        if not hits:
            return
        (_, source, xyz), stage = min(hits, key=lambda found: found[0][0])
        self._forget()
        self.controls.chosen.content = stage.follow(source, xyz, state)

    def _forget(self) -> None:
        for stage in self.stages:
            stage.forget()
        self.controls.chosen.content = "Click a point to follow it."

    def _screenshot(self, client: viser.ClientHandle | None) -> None:
        if client is None:
            return
        height, width = client.camera.image_height, client.camera.image_width
        picture = client.get_render(height, width, transport_format="png", timeout=30)
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        client.send_file_download("worldline.png", file.getvalue(), save_immediately=True)

    def _turntable(self, client: viser.ClientHandle | None) -> None:
        """The clip's time passes once while the view sways around it."""
        if client is None:
            return
        before, file = self.state, io.BytesIO()
        self.change(playing=False)
        size = client.camera.image_width, client.camera.image_height
        encode(file, self._turntable_pictures(client, size), size)
        self.change(time=before.time, playing=before.playing)
        client.send_file_download("worldline.mp4", file.getvalue(), save_immediately=True)

    def _turntable_pictures(
        self, client: viser.ClientHandle, size: tuple[int, int]
    ) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        width, height = size
        poses = orbit(self.placement, _TURNTABLE)
        for pose, at in zip(poses, times_of(self.scene, _TURNTABLE), strict=True):
            self.change(time=at)
            while self._drawn is None or self._drawn.time != at:
                time.sleep(0.005)
            wxyz, position = viser_pose(pose)
            yield client.get_render(
                height, width, wxyz=wxyz, position=position, fov=_FIELD_OF_VIEW, timeout=30
            )

    def _pause(self, state: ViewState) -> float:
        """Seconds until the next frame is due."""
        times = self.scene.times
        last = len(times) - 1
        if not last:
            return 1.0
        i = min(state.time, last - 1)
        return float(times[i + 1] - times[i]) / state.speed


def first(state: ViewState) -> ViewState:
    """The state with what is soonest drawn: whoever opens the page has something to look at."""
    return replace(state, budget=min(state.budget, _FIRST), trails=False)
