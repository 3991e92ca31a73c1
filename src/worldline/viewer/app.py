"""The live viewer: a state, viser's picture of it, and a loop that keeps the two together."""

import contextlib
import io
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import viser
import viser.transforms
from jaxtyping import Float, UInt8
from PIL import Image

from worldline.errors import InputError
from worldline.scene import Scene, Tracks
from worldline.viewer.controls import add_controls
from worldline.viewer.layers import CloudCache, colours, distance_bands, shown
from worldline.viewer.placement import cameras_to_draw, fields_of_view, orbit, place, point_size
from worldline.viewer.state import ViewState
from worldline.viewer.trails import (
    Lines,
    choose_queries,
    pick,
    source_query,
    trails,
    way,
    way_table,
)
from worldline.viewer.turntable import encode, times_of

_FRUSTA = 24  # of cameras that stand apart, with a picture each
_BANDS = 4  # of distance, with a point size each
_FOLLOWED = 400  # points that leave trails
_TURNTABLE = 96  # pictures
_FIELD_OF_VIEW = float(np.radians(45))  # vertical
_PORTS_TRIED = 1000  # by viser, one after the other, until one is free
_GREY, _AMBER, _WHITE = (110, 120, 140), (255, 165, 40), (235, 235, 235)


class Viewer:
    """A scene on a local web page. `run` draws what `change` asks for, until `stop`.

    host, port: where to listen; the next free port is taken if this one is not free.

    Raises InputError for a host that is not this machine's, or a port that there is not.
    """

    def __init__(
        self, scene: Scene, state: ViewState, *, host: str = "127.0.0.1", port: int = 8080
    ) -> None:
        _check_address(host, port)
        self.scene = scene
        self.state = replace(state, trail=min(state.trail, max(len(scene), 2)))
        self.placement = place(scene)
        self.cache = CloudCache(scene)
        with contextlib.redirect_stdout(sys.stderr):  # viser has a banner of its own
            self.server = viser.ViserServer(host=host, port=port, label="Worldline", verbose=False)
        self._drawn: ViewState | None = None
        self._tracks: Tracks | None = None
        self._changed, self._lock, self._ended = threading.Event(), threading.Lock(), False
        self._arrange()
        self.controls = add_controls(self.server.gui, scene, self.state, self.change)
        self.controls.forget.on_click(lambda _: self._forget())
        self.controls.screenshot.on_click(lambda event: self._screenshot(event.client))
        self.controls.turntable.on_click(lambda event: self._turntable(event.client))
        self.server.scene.on_click()(self._clicked)
        self.server.on_client_connect(self._joined)
        self._changed.set()

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        host = self.server.get_host()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server.get_port()}"

    def change(self, **fields: Any) -> None:
        """Set fields of the state; times beyond the clip become its last frame."""
        last = len(self.scene) - 1
        for name in {"time", "source"} & fields.keys():
            fields[name] = min(int(fields[name]), last)
        with self._lock:
            self.state = replace(self.state, **fields)
        self._changed.set()

    def run(self) -> None:
        """Draw whatever changes, and play, until `stop` is called."""
        due = time.perf_counter()
        while True:
            state = self.state
            wait = max(0.0, due - time.perf_counter()) if state.playing else None
            changed = self._changed.wait(wait)
            if self._ended:
                return
            if changed:
                self._changed.clear()
                self.draw()
            elif state.playing:
                following = (state.time + 1) % len(self.scene)
                due = time.perf_counter() + self._pause(state)
                self.controls.time.value = following  # type: ignore[misc] # viser hides its setter
                self.change(time=following)

    def stop(self) -> None:
        """End `run` and close the page."""
        self._ended = True
        self._changed.set()
        with contextlib.redirect_stdout(sys.stderr):
            self.server.stop()

    def draw(self) -> None:
        """Bring the page to the state: only what differs from what was drawn last."""
        state, before = self.state, self._drawn
        with self.server.atomic():
            self._draw_points(state)
            if _differ(before, state, "time", "cameras", "follow"):
                self._draw_cameras(state)
        if state.follow and _differ(before, state, "time", "follow"):
            for client in self.server.get_clients().values():
                self._look_through(client, state)
        if _differ(before, state, "time", "trails", "trail"):
            self._draw_trails(state)  # last: to follow the points takes a while the first time
        self._drawn = state

    def _arrange(self) -> None:
        """What does not change with the state: axes, theme, first view, cameras."""
        server, placement = self.server, self.placement
        server.gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False)
        server.scene.set_up_direction("-y")
        server.scene.world_axes.visible = False
        server.initial_camera.position = placement.eye
        server.initial_camera.look_at = placement.target
        server.initial_camera.up = np.array([0.0, -1.0, 0.0])
        server.initial_camera.fov = _FIELD_OF_VIEW
        server.initial_camera.near = placement.distance / 200
        server.initial_camera.far = placement.distance * 500
        server.scene.add_frame("/cameras", show_axes=False)
        for i in cameras_to_draw(self.scene, placement, _FRUSTA).tolist():
            picture = thumbnail(self.scene, i, 96)
            self._add_frustum(f"/cameras/{i}", i, 0.03, _GREY, picture)
        path = self.scene.cameras.world_from_camera[:, :3, 3].astype(np.float32)
        ends = np.stack([path[:-1], path[1:]], axis=1)
        self._draw_lines("/cameras/path", Lines(ends, _one_colour(ends, _GREY)), 1.5)

    def _draw_points(self, state: ViewState) -> None:
        """In bands, since viser's points of one cloud are all of one size."""
        cloud = self.cache.cloud(state)
        rgb, keep = colours(cloud, state, len(self.scene)), shown(cloud, state)
        band, distances = distance_bands(self.scene, cloud, _BANDS)
        size = point_size(self.scene, self.placement, state) / self.placement.distance
        for k, distance in enumerate(distances):
            those, name = keep & (band == k), f"/points/{k}"
            if not those.any():
                self.server.scene.remove_by_name(name)
                continue
            self.server.scene.add_point_cloud(
                name,
                cloud.xyz[those],
                rgb[those],
                point_size=float(size * distance),
                point_shape="circle",
                point_shading="flat",
                precision="float32",
            )

    def _draw_trails(self, state: ViewState) -> None:
        if not state.trails:
            self.server.scene.remove_by_name("/trails")
            return
        if self._tracks is None:
            self._tracks = self.scene.tracks(choose_queries(self.scene, _FOLLOWED))
        self._draw_lines("/trails", trails(self._tracks, state), 2.0)

    def _draw_cameras(self, state: ViewState) -> None:
        shown_at_all = state.cameras and not state.follow
        if (cameras := self.server.scene.get_handle_by_name("/cameras")) is not None:
            cameras.visible = shown_at_all
        self._add_frustum(
            "/now", state.time, 0.05, _AMBER, thumbnail(self.scene, state.time, 320), shown_at_all
        )

    def _add_frustum(
        self,
        name: str,
        i: int,
        share: float,
        colour: tuple[int, int, int],
        picture: UInt8[np.ndarray, "h w 3"],
        visible: bool = True,
    ) -> None:
        """Camera i, `share` of the scene's distance deep."""
        wxyz, position = _viser_pose(self.scene.cameras.world_from_camera[i])
        width, height = self.scene.size
        self.server.scene.add_camera_frustum(
            name,
            fov=float(fields_of_view(self.scene)[i]),
            aspect=width / height,
            scale=share * self.placement.distance,
            thickness=2.0,
            thickness_units="screen",
            color=colour,
            image=picture,
            wxyz=wxyz,
            position=position,
            visible=visible,
        )

    def _draw_lines(self, name: str, lines: Lines, pixels: float) -> None:
        if not len(lines.ends):
            self.server.scene.remove_by_name(name)
            return
        self.server.scene.add_line_segments(
            name, lines.ends, lines.rgb, thickness=pixels, thickness_units="screen"
        )

    def _look_through(self, client: viser.ClientHandle, state: ViewState) -> None:
        wxyz, position = _viser_pose(self.scene.cameras.world_from_camera[state.time])
        with client.atomic():
            client.camera.wxyz, client.camera.position = wxyz, position
            client.camera.fov = float(fields_of_view(self.scene)[state.time])

    def _joined(self, client: viser.ClientHandle) -> None:
        if self.state.follow:
            self._look_through(client, self.state)

    def _clicked(self, event: viser.SceneClickEvent) -> None:
        state = self.state
        cloud = self.cache.cloud(state)
        cloud = cloud[shown(cloud, state)]
        hit = pick(cloud, np.array(event.ray_origin), np.array(event.ray_direction))
        if hit is None:
            return
        source = int(cloud.source_frame[hit])
        query = source_query(self.scene, source, cloud.xyz[hit], state.time)
        tracks = self.scene.tracks(query)
        lines = way(tracks)
        radius = 2.5 * point_size(self.scene, self.placement, state)
        here = tracks.xyz[0, state.time]
        self._draw_lines("/chosen/way", lines, 4.0)
        self.server.scene.add_icosphere("/chosen/point", radius, color=_WHITE, position=here)
        unit = "m" if self.scene.metric else "scene units"
        x, y = query[0, 1:]
        where = f"Pixel ({x:g}, {y:g}) of frame {source}"
        self.controls.chosen.content = f"{where}\n\n{way_table(tracks, unit)}"

    def _forget(self) -> None:
        self.server.scene.remove_by_name("/chosen")
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
            wxyz, position = _viser_pose(pose)
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


def thumbnail(scene: Scene, i: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """Frame i, at most `width` pixels wide."""
    picture = Image.fromarray(np.asarray(scene.frames[i]))
    picture.thumbnail((width, picture.height))
    return np.asarray(picture)


def _viser_pose(
    world_from_camera: Float[np.ndarray, "4 4"],
) -> tuple[Float[np.ndarray, "4"], Float[np.ndarray, "3"]]:
    """Its quaternion (w, x, y, z) and position: viser's cameras have OpenCV's axes too."""
    rotation = viser.transforms.SO3.from_matrix(world_from_camera[:3, :3])
    return rotation.wxyz, world_from_camera[:3, 3]


def _one_colour(
    ends: Float[np.ndarray, "S 2 3"], colour: tuple[int, int, int]
) -> UInt8[np.ndarray, "S 2 3"]:
    return np.broadcast_to(np.array(colour, np.uint8), ends.shape)


def _differ(before: ViewState | None, now: ViewState, *names: str) -> bool:
    return before is None or any(getattr(before, n) != getattr(now, n) for n in names)


def _check_address(host: str, port: int) -> None:
    """InputError for an address at which viser's server would wait for ever."""
    if not 0 <= port < 65536 - _PORTS_TRIED:
        raise InputError(f"port {port} cannot be used; take one from 1024 to 64000, or 0 for any")
    try:
        family = socket.getaddrinfo(host, None)[0][0]
        with socket.socket(family) as probe:
            probe.bind((host, 0))
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"the viewer cannot listen at {host!r} ({error}); 127.0.0.1 is this machine"
        ) from error
