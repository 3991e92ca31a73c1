"""Where a frame's points are at another time: the motion half of a scene.

The contract is 4RC's eq. 2, P_i^{t_i -> tau} = P_i^{t_i} + dP_i^{t_i -> tau}: a `MotionField`
answers the displacement dP, in world axes and scene units, for the pixels that were asked.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from worldline.errors import InputError


@dataclass(frozen=True, eq=False)
class Motion:
    """An answer of a motion field, of any leading shape.

    That shape is [H,W] for all pixels of a frame or [M] for chosen ones, with [T] in front when
    several times were asked at once (a field itself always has [T] in front).

    displacement: world axes, scene units.
    confidence: in 0..1; 0 where the field had nothing to go by.
    visible: whether the point can be seen at that time; None from a field without an opinion,
        never None from a `Scene`, which then tests depths.
    """

    displacement: Float32[np.ndarray, "*shape 3"]
    confidence: Float32[np.ndarray, "*shape"]
    visible: Bool[np.ndarray, "*shape"] | None = None


@runtime_checkable
class MotionField(Protocol):
    """Anything that knows where a frame's points are at another time."""

    @property
    def kind(self) -> str:
        """Name under which its loader is registered, written in scene.json."""

    def query(
        self,
        source: int,
        at: Float[np.ndarray, " T"],
        pixels: Float[np.ndarray, "M 2"] | None = None,
    ) -> Motion:
        """Displacements of frame `source`'s points from their own time to the times `at`.

        at: frame positions in 0..N-1; fractions lie between frames.
        pixels: (x, y) in working pixels, all inside the frame; None asks for every pixel.
        Returns a Motion of shape [T,H,W], or [T,M] for chosen pixels, exactly zero where `at`
        is `source`. The cost of chosen pixels is never above that of the whole frame.
        """

    def arrays(self) -> dict[str, np.ndarray]:
        """What its registered loader needs to build it again. An array that is also the scene's
        (its `dynamic`, its `depth`) is stored once, as long as it is the very same array."""


@runtime_checkable
class EndPoints(Protocol):
    """What a motion field may offer besides: where points end up, not only how far they move."""

    def end_points(
        self,
        source: int,
        at: Float[np.ndarray, " T"],
        pixels: Float[np.ndarray, "M 2"] | None = None,
    ) -> tuple[Float32[np.ndarray, "T *shape 3"], Float32[np.ndarray, "T *shape"]]:
        """World points of frame `source` at the times `at`, and how sure they are (>= 0).

        Arguments as of `MotionField.query`. `Scene.complete` takes these points as they are, and
        makes one of those that frames agree on.
        """


Loader = Callable[[dict[str, np.ndarray]], MotionField]
_F = TypeVar("_F", bound=Callable[..., Any])
_LOADERS: dict[str, Loader] = {}
_HOMES = {  # of kinds that stand above this floor
    "4rc": "worldline.systems.arc.field",
    "complet4r": "worldline.systems.complet4r.field",
    "pairs": "worldline.systems.pairwise.field",
    "world": "worldline.synth.world_field",
}


def register(kind: str) -> Callable[[_F], _F]:
    """Decorate the loader, arrays -> MotionField, of stored fields of this kind."""

    def remember(loader: _F) -> _F:
        _LOADERS[kind] = loader
        return loader

    return remember


def load_field(kind: str, arrays: dict[str, np.ndarray]) -> MotionField:
    """The motion field that `arrays` describe. Raises InputError for a kind nobody registered.

    Kinds of the package's own upper floors are imported when a scene first names them.
    """
    if kind not in _LOADERS and kind in _HOMES:
        importlib.import_module(_HOMES[kind])
    if kind not in _LOADERS:
        raise InputError(
            f"this scene's motion is of kind {kind!r}, which is not loaded (known: "
            f"{', '.join(sorted(_LOADERS))}); import the system that made it first"
        )
    return _LOADERS[kind](arrays)


@dataclass(frozen=True, eq=False)
class StillField:
    """Nothing moves in the world, which is certain: zeros of full confidence."""

    height: int
    width: int
    kind: ClassVar[str] = "still"

    def query(
        self,
        source: int,
        at: Float[np.ndarray, " T"],
        pixels: Float[np.ndarray, "M 2"] | None = None,
    ) -> Motion:
        """See MotionField.query."""
        shape = (self.height, self.width) if pixels is None else (len(pixels),)
        full = (len(at), *shape)
        return Motion(np.zeros((*full, 3), np.float32), np.ones(full, np.float32))

    def arrays(self) -> dict[str, np.ndarray]:
        """The frame's size alone."""
        return {"size": np.array([self.height, self.width], np.int64)}


@register("still")
def _load_still(arrays: dict[str, np.ndarray]) -> StillField:
    height, width = (int(v) for v in arrays["size"])
    return StillField(height, width)


_NEIGHBOURS = 8
_BANDWIDTH_NEIGHBOUR = 3  # the fourth nearest track sets how far its neighbours still count
_DEPTH_SIGMA = 0.1  # in log z: tracks 10 % nearer or farther hardly speak for a pixel
_REACH = 0.05  # of the image diagonal: farther from any track is a guess


@dataclass(frozen=True, eq=False)
class TrackField:
    """3D tracks of M points spread over the moving pixels around them (C4D).

    A pixel whose `dynamic` exceeds 0.5 moves as the weighted mean of its nearest tracks that are
    visible in its own frame, near in the image and, if depth is known, on the same side of depth
    edges. Every other pixel stays exactly where it is.

    uv: working pixels of the tracks in each frame; ignored (may be NaN) where not visible.
    xyz: world points for every frame, extrapolated where the track is not visible.
    depth: z-depth of the frames; None if tracks may speak across depth edges.
    """

    uv: Float32[np.ndarray, "M N 2"]
    xyz: Float32[np.ndarray, "M N 3"]
    visible: Bool[np.ndarray, "M N"]
    dynamic: Float32[np.ndarray, "N H W"]
    depth: Float32[np.ndarray, "N H W"] | None = None
    kind: ClassVar[str] = "tracks"

    def __post_init__(self) -> None:
        tracks = self.visible.shape
        if self.uv.shape != (*tracks, 2) or self.xyz.shape != (*tracks, 3):
            raise InputError(
                f"tracks disagree: uv {self.uv.shape}, xyz {self.xyz.shape}, visible {tracks}; "
                "expected [M,N,2], [M,N,3] and [M,N]"
            )
        if self.dynamic.ndim != 3 or len(self.dynamic) != tracks[1]:
            raise InputError(f"dynamic is {self.dynamic.shape}; expected [{tracks[1]},H,W]")
        if self.depth is not None and self.depth.shape != self.dynamic.shape:
            raise InputError(f"depth is {self.depth.shape}; expected {self.dynamic.shape}")
        if not np.isfinite(self.xyz).all():
            raise InputError("tracks' xyz must be finite in every frame; extrapolate them first")

    def query(
        self,
        source: int,
        at: Float[np.ndarray, " T"],
        pixels: Float[np.ndarray, "M 2"] | None = None,
    ) -> Motion:
        """See MotionField.query."""
        height, width = self.dynamic.shape[1:]
        moves = self.dynamic[source] > 0.5
        if pixels is None:
            shape: tuple[int, ...] = (height, width)
            moving = np.flatnonzero(moves)
            uv = np.stack([moving % width, moving // width], axis=-1) + 0.5
        else:
            shape = (len(pixels),)
            moving = np.flatnonzero(look_up(moves, pixels))
            uv = pixels[moving].astype(np.float64)
        count = int(np.prod(shape))
        displacement = np.zeros((len(at), count, 3), np.float32)
        confidence = np.ones((len(at), count), np.float32)
        if len(moving):
            displacement[:, moving], confidence[:, moving] = self._spread(source, at, uv)
        return Motion(displacement.reshape(len(at), *shape, 3), confidence.reshape(len(at), *shape))

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields themselves."""
        arrays = {
            "uv": self.uv,
            "xyz": self.xyz,
            "visible": self.visible,
            "dynamic": self.dynamic,
        }
        return arrays if self.depth is None else arrays | {"depth": self.depth}

    def _spread(
        self, source: int, at: Float[np.ndarray, " T"], uv: Float[np.ndarray, "P 2"]
    ) -> tuple[Float[np.ndarray, "T P 3"], Float[np.ndarray, "T P"]]:
        """Displacements and confidences of moving pixels, from the tracks around them."""
        in_frame = np.isfinite(self.uv[:, source]).all(axis=-1)
        seen = np.flatnonzero(self.visible[:, source] & in_frame)
        if len(seen) == 0:
            return np.zeros((len(at), len(uv), 3)), np.zeros((len(at), len(uv)))
        weights, used, nearest = self._weights(source, seen, uv)
        home = self.xyz[used, source].astype(np.float64)
        away = _between_frames(self.xyz[used].astype(np.float64), at)
        moved = weights @ (away - home[:, None]).reshape(len(used), -1)
        visible = weights @ _between_frames(self.visible[used].astype(np.float64), at)
        reach = _REACH * np.hypot(*self.dynamic.shape[1:])
        confidence = visible * np.exp(-0.5 * (nearest / reach) ** 2)[:, None]
        return moved.reshape(len(uv), len(at), 3).swapaxes(0, 1), confidence.T

    def _weights(
        self, source: int, seen: Int[np.ndarray, " S"], uv: Float[np.ndarray, "P 2"]
    ) -> tuple[csr_array, Int[np.ndarray, " U"], Float[np.ndarray, " P"]]:
        """Weights [P,U], rows summing to 1, of the tracks used; distance to the nearest track."""
        track_uv = self.uv[seen, source].astype(np.float64)
        k = min(_NEIGHBOURS, len(seen))
        distance, index = cKDTree(track_uv).query(uv, k=range(1, k + 1))
        bandwidth = distance[:, [min(_BANDWIDTH_NEIGHBOUR, k - 1)]]
        log_weight = -0.5 * (distance / np.maximum(bandwidth, 0.5)) ** 2
        if self.depth is not None:
            track_z, z = look_up(self.depth[source], track_uv), look_up(self.depth[source], uv)
            with np.errstate(divide="ignore", invalid="ignore"):
                apart = (np.log(z)[:, None] - np.log(track_z)[index]) / _DEPTH_SIGMA
            # Unknown depth has no say; a cap keeps infinities out of the softmax below.
            log_weight -= 0.5 * np.minimum(np.nan_to_num(apart, nan=0.0) ** 2, 1e6)
        # As a softmax, the best neighbour keeps its weight however far off all of them are.
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        used, column = np.unique(index.ravel(), return_inverse=True)
        starts = np.arange(0, weight.size + 1, k)
        matrix = csr_array((weight.ravel(), column, starts), shape=(len(uv), len(used)))
        return matrix, seen[used], distance[:, 0]


@register("tracks")
def _load_tracks(arrays: dict[str, np.ndarray]) -> TrackField:
    return TrackField(**arrays)


def look_up(image: np.ndarray, uv: Float[np.ndarray, "M 2"]) -> np.ndarray:
    """`image` [H,W,...] at the pixels that contain the points; points outside take the edge's."""
    height, width = image.shape[:2]
    column = np.clip(np.floor(uv[:, 0]), 0, width - 1).astype(np.int64)
    row = np.clip(np.floor(uv[:, 1]), 0, height - 1).astype(np.int64)
    return image[row, column]


def _between_frames(
    values: Float[np.ndarray, "S N *rest"], at: Float[np.ndarray, " T"]
) -> Float[np.ndarray, "S T *rest"]:
    """Values at fractional frame positions, linear between frames and exact at them."""
    low = np.clip(np.floor(at).astype(np.int64), 0, values.shape[1] - 1)
    high = np.minimum(low + 1, values.shape[1] - 1)
    share = (at - low).reshape(-1, *(1,) * (values.ndim - 2))
    return values[:, low] * (1 - share) + values[:, high] * share
