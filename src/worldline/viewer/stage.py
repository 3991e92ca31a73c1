"""One scene on the page: its points, cameras and trails, below a node of its own."""

from typing import Any

import numpy as np
import viser
import viser.transforms
from jaxtyping import Float, UInt8
from PIL import Image

from worldline.scene import Scene, Tracks
from worldline.viewer.layers import CloudCache, bands_of, colours, distance_bands, shown
from worldline.viewer.placement import cameras_to_draw, fields_of_view, place, point_size
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

_FRUSTA = 24  # of cameras that stand apart, with a picture each
_BANDS = 4  # of distance, with a point size each
_FOLLOWED = 400  # points that leave trails
_GREY, _AMBER, _WHITE = (110, 120, 140), (255, 165, 40), (235, 235, 235)


class Stage:
    """What viser draws of a scene, below a node of its own.

    which: 0 or 1, the first of two scenes or the second.
    scale: shown units per scene unit; the scene's world starts at the node's place.
    """

    def __init__(
        self, api: viser.SceneApi, scene: Scene, which: int = 0, scale: float = 1.0
    ) -> None:
        self.api, self.scene, self.which, self.scale = api, scene, which, scale
        self.root = ("/a", "/b")[which]
        self.placement = place(scene)
        self.cache = CloudCache(scene)
        self._edges, self._distances = distance_bands(scene, _BANDS)
        self._tracks: Tracks | None = None
        self._drawn: ViewState | None = None
        self.node = api.add_frame(self.root, show_axes=False)
        self._draw_path()

    def draw(self, state: ViewState) -> None:
        """Bring the page to the state: only what differs from what was drawn last."""
        before = self._drawn
        self._draw_points(state)
        if differ(before, state, "time", "cameras", "follow"):
            self._draw_cameras(state)
        if differ(before, state, "time", "trails", "trail"):
            self._draw_trails(state)  # last: to follow the points takes a while the first time
        self._drawn = state

    def hit(
        self, origin: Float[np.ndarray, "3"], direction: Float[np.ndarray, "3"], state: ViewState
    ) -> tuple[float, int, Float[np.ndarray, "3"]] | None:
        """The nearest point shown on a ray of the page: how far, of which frame, where (scene)."""
        cloud = self.cache.cloud(state)
        cloud = cloud[shown(cloud, state)]
        eye = (origin - np.asarray(self.node.position)) / self.scale
        nearest = pick(cloud, eye, direction)
        if nearest is None:
            return None
        xyz = cloud.xyz[nearest]
        far = float(np.linalg.norm(xyz - eye)) * self.scale
        return far, int(cloud.source_frame[nearest]), xyz

    def follow(self, source: int, xyz: Float[np.ndarray, "3"], state: ViewState) -> str:
        """Mark the point of frame `source` that is at `xyz` now, and its way; tell it in words."""
        query = source_query(self.scene, source, xyz, state.time)
        tracks = self.scene.tracks(query)
        self._draw_lines("/chosen/way", way(tracks), 4.0)
        self.api.add_icosphere(
            f"{self.root}/chosen/point",
            2.0 * self.scale * self._point_size(state),
            color=_WHITE,
            position=self.scale * tracks.xyz[0, state.time],
        )
        x, y = query[0, 1:]
        unit = "m" if self.scene.metric else "scene units"
        return f"Pixel ({x:g}, {y:g}) of frame {source}\n\n{way_table(tracks, unit)}"

    def forget(self) -> None:
        """Take the marked point away."""
        self.api.remove_by_name(f"{self.root}/chosen")

    def _draw_points(self, state: ViewState) -> None:
        """In bands, since viser's points of one cloud are all of one size."""
        cloud = self.cache.cloud(state)
        rgb, keep = colours(cloud, state, len(self.scene), self.which), shown(cloud, state)
        band = bands_of(self.scene, cloud, self._edges)
        # viser's point size is a radius
        radius = 0.5 * self.scale * self._point_size(state) / self.placement.distance
        for k, distance in enumerate(self._distances):
            those, name = keep & (band == k), f"{self.root}/points/{k}"
            if not those.any():
                self.api.remove_by_name(name)
                continue
            self.api.add_point_cloud(
                name,
                self.scale * cloud.xyz[those],
                rgb[those],
                point_size=float(radius * distance),
                point_shape="circle",
                point_shading="flat",
                precision="float32",
            )

    def _draw_trails(self, state: ViewState) -> None:
        if not state.trails:
            self.api.remove_by_name(f"{self.root}/trails")
            return
        if self._tracks is None:
            self._tracks = self.scene.tracks(choose_queries(self.scene, _FOLLOWED))
        self._draw_lines("/trails", trails(self._tracks, state), 2.0)

    def _draw_path(self) -> None:
        """The cameras' path, with the pictures of those that stand apart."""
        self.api.add_frame(f"{self.root}/cameras", show_axes=False)
        for i in cameras_to_draw(self.scene, self.placement, _FRUSTA).tolist():
            self._add_frustum(f"/cameras/{i}", i, 0.03, _GREY, thumbnail(self.scene, i, 96))
        path = self.scene.cameras.world_from_camera[:, :3, 3].astype(np.float32)
        ends = np.stack([path[:-1], path[1:]], axis=1)
        grey = np.broadcast_to(np.array(_GREY, np.uint8), ends.shape)
        self._draw_lines("/cameras/path", Lines(ends, grey), 1.5)

    def _draw_cameras(self, state: ViewState) -> None:
        visible = state.cameras and not state.follow
        if (cameras := self.api.get_handle_by_name(f"{self.root}/cameras")) is not None:
            cameras.visible = visible
        picture = thumbnail(self.scene, state.time, 320)
        self._add_frustum("/now", state.time, 0.05, _AMBER, picture, visible)

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
        wxyz, position = viser_pose(self.scene.cameras.world_from_camera[i])
        width, height = self.scene.size
        self.api.add_camera_frustum(
            self.root + name,
            fov=float(fields_of_view(self.scene)[i]),
            aspect=width / height,
            scale=self.scale * share * self.placement.distance,
            thickness=2.0,
            thickness_units="screen",
            color=colour,
            image=picture,
            wxyz=wxyz,
            position=self.scale * position,
            visible=visible,
        )

    def _draw_lines(self, name: str, lines: Lines, pixels: float) -> None:
        if not len(lines.ends):
            self.api.remove_by_name(self.root + name)
            return
        self.api.add_line_segments(
            self.root + name,
            self.scale * lines.ends,
            lines.rgb,
            thickness=pixels,
            thickness_units="screen",
        )

    def _point_size(self, state: ViewState) -> float:
        return point_size(self.scene, self.placement, state)


def thumbnail(scene: Scene, i: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """Frame i, at most `width` pixels wide."""
    picture = Image.fromarray(np.asarray(scene.frames[i]))
    picture.thumbnail((width, picture.height))
    return np.asarray(picture)


def viser_pose(
    world_from_camera: Float[np.ndarray, "4 4"],
) -> tuple[Float[np.ndarray, "4"], Float[np.ndarray, "3"]]:
    """Its quaternion (w, x, y, z) and position: viser's cameras have OpenCV's axes too."""
    rotation = viser.transforms.SO3.from_matrix(world_from_camera[:3, :3])
    return rotation.wxyz, world_from_camera[:3, 3]


def differ(before: Any, now: Any, *names: str) -> bool:
    """Whether one of the named fields has changed; nothing drawn yet counts as changed."""
    return before is None or any(getattr(before, n) != getattr(now, n) for n in names)
