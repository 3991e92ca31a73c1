"""What formats with a time line share: points that stay, points that move, and a few tracks."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, UInt8

from worldline.io.exports.registry import Choices
from worldline.scene import PointCloud, Scene, Tracks
from worldline.scene.cloud import even_quotas

MOVES = 0.5  # probability from which a pixel's point counts as moving
_TRACKS = 64
_TRACK_STARTS = 4  # frames in which tracks start
_NO_DEPTHS = (0.01, 100.0)  # where a camera draws that knows no depth
_SLOWEST = Fraction(1, 1001)
_STILL_RATE = Fraction(25)  # frames per second of a clip that has one frame


@dataclass(frozen=True, eq=False)
class MovingPoints:
    """The moving points that each of N frames shows: other ones, and other numbers of them.

    xyz: world, scene units, where they are at the frame's time.
    """

    xyz: list[Float32[np.ndarray, "_ 3"]]
    rgb: list[UInt8[np.ndarray, "_ 3"]]

    def __len__(self) -> int:
        return sum(len(points) for points in self.xyz)


def split_points(scene: Scene, choices: Choices) -> tuple[PointCloud, MovingPoints]:
    """The points that stay, gathered once at `choices.at`; those that move, in every frame.

    Both together, and over all frames, are at most `choices.max_points`: half of them may move.
    """
    total = choices.max_points
    share = None if total is None else max(0, total // 2 // len(scene))
    moving = _moving_points(scene, choices.min_confidence, share)
    left = None if total is None else total - len(moving)
    cloud = scene.complete(choices.at, left, min_confidence=choices.min_confidence)
    return cloud[cloud.dynamic <= MOVES], moving


def sample_tracks(scene: Scene, choices: Choices) -> Tracks:
    """At most 64 moving points of four frames, followed through the clip; none if nothing moves."""
    starts = np.unique(np.linspace(0, len(scene) - 1, _TRACK_STARTS).round().astype(int))
    found = {i: _moving_pixels(scene, i, choices.min_confidence) for i in starts.tolist()}
    quotas = even_quotas(np.array([len(pixels) for pixels in found.values()]), _TRACKS)
    queries = [
        np.column_stack([np.full(quota, float(i)), _centres(scene, pixels[:quota])])
        for (i, pixels), quota in zip(found.items(), quotas.tolist(), strict=True)
    ]
    return scene.tracks(np.concatenate(queries))


def frame_rate(times: Float64[np.ndarray, " N"]) -> Fraction:
    """Frames per second of the clip: the median's, 25 for a single frame."""
    if len(times) < 2:
        return _STILL_RATE
    rate = Fraction(1.0 / float(np.median(np.diff(times)))).limit_denominator(1001)
    return max(rate, _SLOWEST)


def clip_planes(scene: Scene) -> tuple[float, float]:
    """z-depths, well outside of the scene's own, between which a camera should draw."""
    known = (depth[np.isfinite(depth) & (depth > 0)] for depth in scene.depth)
    ranges = np.array([(depth.min(), depth.max()) for depth in known if len(depth)])
    if not len(ranges):
        return _NO_DEPTHS
    return float(ranges[:, 0].min()) / 100, float(ranges[:, 1].max()) * 100


def linear_colours(rgb: UInt8[np.ndarray, "P 3"]) -> Float32[np.ndarray, "P 3"]:
    """sRGB colours as linear light in 0..1, in which glTF and USD have the colours of points."""
    level = np.arange(256) / 255.0
    curve = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return curve.astype(np.float32)[rgb]


def _moving_points(scene: Scene, min_confidence: float | None, share: int | None) -> MovingPoints:
    """At most `share` for each frame: of all frames where their motion is known, then its own."""
    found = [_moving_pixels(scene, i, min_confidence) for i in range(len(scene))]
    quotas = even_quotas(np.array([len(pixels) for pixels in found]), share)
    drawn = [pixels[:quota] for pixels, quota in zip(found, quotas.tolist(), strict=True)]
    xyz, rgb, shown = _follow(scene, drawn)
    points = MovingPoints([], [])
    for j in range(len(scene)):
        lacking = 0 if share is None else share - int(shown[j].sum())
        own = found[j][quotas[j] : quotas[j] + lacking]
        own_xyz = scene.pointmap(j, pixels=_centres(scene, own))
        points.xyz.append(np.concatenate([xyz[j, shown[j]], own_xyz]))
        points.rgb.append(np.concatenate([rgb[shown[j]], _colours(scene, j, own)]))
    return points


def _follow(
    scene: Scene, drawn: list[Int[np.ndarray, " _"]]
) -> tuple[Float32[np.ndarray, "N P 3"], UInt8[np.ndarray, "P 3"], Bool[np.ndarray, "N P"]]:
    """Where the drawn pixels' points are in every frame, and whether their motion is known."""
    xyz = np.empty((len(scene), sum(len(flat) for flat in drawn), 3), np.float32)
    rgb, shown = np.empty(xyz.shape[1:], np.uint8), np.empty(xyz.shape[:2], bool)
    everywhen, end = np.arange(len(scene), dtype=np.float64), 0
    for i, flat in enumerate(drawn):
        if not len(flat):
            continue
        where, end = slice(end, end + len(flat)), end + len(flat)
        pixels = _centres(scene, flat)
        motion = scene.motion.query(i, everywhen, pixels)
        xyz[:, where] = scene.pointmap(i, pixels=pixels) + motion.displacement
        rgb[where] = _colours(scene, i, flat)
        shown[:, where] = motion.confidence > 0
        shown[i, where] = True
    return xyz, rgb, shown


def _colours(scene: Scene, i: int, flat: Int[np.ndarray, " M"]) -> UInt8[np.ndarray, "M 3"]:
    return scene.frames[i].reshape(-1, 3)[flat]


def _moving_pixels(scene: Scene, i: int, min_confidence: float | None) -> Int[np.ndarray, " M"]:
    """Flat indices, shuffled, of frame i's pixels that move, have a depth and are sure enough."""
    depth = scene.depth[i]
    usable = np.isfinite(depth) & (depth > 0) & (scene.dynamic[i] > MOVES)
    if min_confidence is not None:
        usable &= scene.confidence[i] >= min_confidence
    return np.random.default_rng(i).permutation(np.flatnonzero(usable))


def _centres(scene: Scene, flat: Int[np.ndarray, " M"]) -> Float64[np.ndarray, "M 2"]:
    """Centres (x, y) of pixels given by flat indices."""
    row, column = np.divmod(flat, scene.size[0])
    return np.column_stack([column, row]) + 0.5
