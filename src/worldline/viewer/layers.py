"""The points that a state shows, computed when they are asked for and kept while there is room."""

from collections import OrderedDict
from collections.abc import Hashable
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from worldline.scene import Gathering, PointCloud, Scene
from worldline.viewer.state import ViewState

MOVES = 0.5  # probability from which a pixel counts as moving
_AMBER, _SLATE = np.array([255.0, 150.0, 30.0]), np.array([120.0, 135.0, 155.0])
_BLUE = np.array([80.0, 150.0, 255.0])
_RAINBOW = ((70, 110, 255), (30, 205, 225), (110, 230, 90), (255, 205, 50), (255, 70, 60))
_GREY_WEIGHTS = np.array([0.299, 0.587, 0.114])
_SAMPLE = 200_000  # pixels that stand for the clip where all of them are ranked


class CloudCache:
    """The last clouds of a scene, least recently used ones dropped beyond `limit` bytes."""

    def __init__(self, scene: Scene, limit: int = 256_000_000) -> None:
        self.scene, self.limit, self.held = scene, limit, 0
        self._clouds: OrderedDict[Hashable, PointCloud] = OrderedDict()
        self._gathering = lru_cache(maxsize=2)(self._gather)  # the coarse one and the fine one

    def __len__(self) -> int:
        return len(self._clouds)

    def cloud(self, state: ViewState) -> PointCloud:
        """The points that the state shows, at most `state.budget`, in world axes and scene units.

        Toggles and colours are applied by `shown` and `colours`.
        """
        source = state.source if state.show == "one frame" else None
        key = (state.show, state.time, source, state.budget, state.unsure)
        if key in self._clouds:
            self._clouds.move_to_end(key)
            return self._clouds[key]
        cloud = self._clouds[key] = self._make(state)
        self.held += _bytes(cloud)
        while self.held > self.limit and len(self._clouds) > 1:
            self.held -= _bytes(self._clouds.popitem(last=False)[1])
        return cloud

    def _make(self, state: ViewState) -> PointCloud:
        if state.show == "all frames":
            return self._gathering(state.budget, state.unsure).at(state.time)
        source = state.source if state.show == "one frame" else state.time
        least = self._least_sure(state.unsure)
        return frame_cloud(self.scene, source, state.time, state.budget, least)

    def _gather(self, budget: int, unsure: float) -> Gathering:
        return Gathering(self.scene, budget, min_confidence=self._least_sure(unsure))

    def _least_sure(self, share: float) -> float | None:
        """The confidence that `share` of the pixels fall short of; None if none shall."""
        return float(np.quantile(self._ranked, share)) if share > 0 else None

    @cached_property
    def _ranked(self) -> Float32[np.ndarray, " K"]:
        return sampled(self.scene, "confidence")


def frame_cloud(
    scene: Scene, i: int, at: int, budget: int, min_confidence: float | None = None
) -> PointCloud:
    """Frame i's points where they are at frame `at`'s time: the same ones at every time.

    They are drawn before anything is computed; pixels of unknown depth are left out.
    """
    chosen = choose_pixels(scene, i, budget, min_confidence)
    row, column = np.divmod(chosen, scene.size[0])
    pixels = np.stack([column, row], axis=-1) + 0.5
    return PointCloud(
        scene.pointmap(i, at=at, pixels=pixels),
        scene.frames[i, row, column],
        scene.confidence[i, row, column],
        np.full(len(chosen), i, np.int32),
        scene.dynamic[i, row, column],
    )


def choose_pixels(
    scene: Scene, i: int, budget: int, min_confidence: float | None = None
) -> np.ndarray:
    """Flat indices, ascending, of at most `budget` of frame i's pixels of known depth."""
    usable = np.isfinite(scene.depth[i]) & (scene.depth[i] > 0)
    if min_confidence is not None:
        usable &= scene.confidence[i] >= min_confidence
    step = np.sqrt(max(1.0, usable.sum() / budget))  # a grid covers the surface without holes
    on_grid = np.zeros_like(usable)
    rows, columns = (np.arange(0.5 * step, side, step).astype(int) for side in usable.shape)
    on_grid[np.ix_(rows, columns)] = True
    return thinned(np.flatnonzero(usable & on_grid), budget)


def thinned(indices: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the indices, evenly."""
    if len(indices) <= count:
        return indices
    return indices[np.linspace(0, len(indices) - 1, count).astype(int)]


def sampled(scene: Scene, name: str) -> Float32[np.ndarray, " K"]:
    """The named array's values (depth, confidence) at a sample of all pixels."""
    frames = np.unique(np.linspace(0, len(scene) - 1, 16).round().astype(int))
    step = max(1, len(frames) * scene.size[0] * scene.size[1] // _SAMPLE)
    return np.concatenate([getattr(scene, name)[i].ravel()[::step] for i in frames])


def shown(cloud: PointCloud, state: ViewState) -> Bool[np.ndarray, " P"]:
    """Which points the toggles leave."""
    moves = cloud.dynamic > MOVES
    return np.where(moves, state.moving, state.static)


def colours(
    cloud: PointCloud, state: ViewState, count: int, own: int = 0
) -> UInt8[np.ndarray, "P 3"]:
    """Colours of the points of a clip of `count` frames; `own` is which of two scenes it is."""
    if state.colour == "picture":
        return cloud.rgb
    if state.colour == "source frame":
        return rainbow(cloud.source_frame / max(count - 1, 1))
    light = 0.35 + 0.65 * (cloud.rgb @ _GREY_WEIGHTS)[:, None] / 255
    tint = np.where(cloud.dynamic[:, None] > MOVES, _AMBER, _SLATE)
    if state.colour == "scene":
        tint = (_BLUE, _AMBER)[own]
    return (light * tint).astype(np.uint8)


def distance_bands(
    scene: Scene, count: int
) -> tuple[Float[np.ndarray, " E"], Float[np.ndarray, " B"]]:
    """Depths that part the scene's pixels into `count` bands of as many each; each band's median.

    They hold for the whole clip, or what stands still would change its look while time passes.
    """
    depth = sampled(scene, "depth")
    depth = depth[np.isfinite(depth) & (depth > 0)]
    if not len(depth):
        return np.ones(count - 1), np.ones(count)
    quantiles = np.quantile(depth, np.arange(1, 2 * count) / (2 * count))
    return quantiles[1::2], quantiles[::2]


def bands_of(
    scene: Scene, cloud: PointCloud, edges: Float[np.ndarray, " E"]
) -> Int[np.ndarray, " P"]:
    """Which band each point is in, by its distance from its own camera."""
    eyes = scene.cameras.world_from_camera[cloud.source_frame, :3, 3]
    return np.searchsorted(edges, np.linalg.norm(cloud.xyz - eyes, axis=-1))


def rainbow(share: np.ndarray) -> UInt8[np.ndarray, "P 3"]:
    """Bright colours from blue (0) over green and yellow to red (1)."""
    stops = np.array(_RAINBOW)
    at = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(share, at, stops[:, c]) for c in range(3)], -1).astype(np.uint8)


def _bytes(cloud: PointCloud) -> int:
    return sum(array.nbytes for array in vars(cloud).values())
