"""A picture sheet of a scene: frames beside their depth, what moves, and the tracks."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from worldline.scene import Scene
from worldline.scene.store import atomic_file
from worldline.scene.visibility import project_to

_GAP = 4  # px of white between the pictures
_FILLED = 0.55  # brightness of depth that was filled in rather than measured
_TRAIL = 12  # frames of a track's past that are drawn
_SPACING = 14  # px between the starts of tracks


@dataclass(frozen=True)
class DepthColours:
    """How depth is coloured, the same in every frame of a scene.

    near, far: inverse depths that the colours span.
    guessed: no depth was measured, so that all of it is drawn in grey.
    """

    near: float
    far: float
    guessed: bool


def write_sheet(scene: Scene, path: Path, rows: int = 4, width: int = 360) -> None:
    """Write the picture that `draw_sheet` draws as a PNG. StorageError when the disk refuses."""
    sheet = draw_sheet(scene, rows, width)
    with atomic_file(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG", optimize=True)


def draw_sheet(scene: Scene, rows: int = 4, width: int = 360) -> UInt8[np.ndarray, "h w 3"]:
    """One row for each of `rows` frames, RGB | depth | moving | tracks, each `width` px wide.

    Rows are those of `frame_row`.
    """
    picked = np.unique(np.linspace(0, len(scene) - 1, rows).round().astype(int))
    colours = depth_colours(scene)
    strips = [frame_row(scene, i, colours, width) for i in picked.tolist()]
    gap = np.full((_GAP, strips[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for strip in strips for part in (strip, gap)][:-1])


def frame_row(
    scene: Scene, i: int, colours: DepthColours, width: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Frame i as RGB | depth | moving | tracks, each `width` px wide.

    Near is red, far is blue; depth that was filled in is darker. Moving pixels are orange. Tracks
    are drawn with their past, static ones in their frame's colours and moving ones bright.
    """
    pictures = [
        scene.frames[i],
        _depth_picture(scene, i, colours),
        _motion_picture(scene, i),
        _track_picture(scene, i),
    ]
    return _side_by_side([_shrink(picture, width) for picture in pictures])


def depth_colours(scene: Scene) -> DepthColours:
    """Colours that span most of the scene's depths."""
    guessed = not any((scene.confidence[i] > 0).any() for i in range(len(scene)))
    some = 1.0 / np.asarray(scene.depth[:: max(1, len(scene) // 8)], np.float32)
    some = some[np.isfinite(some)]
    if some.size == 0:
        return DepthColours(1.0, 0.0, guessed)
    far, near = np.percentile(some, [2, 98]).tolist()
    return DepthColours(near, far if near - far > 1e-6 * near else 0.0, guessed)


def _shrink(picture: UInt8[np.ndarray, "H W 3"], width: int) -> UInt8[np.ndarray, "h w 3"]:
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=cv2.INTER_AREA)


def _side_by_side(pictures: list[np.ndarray]) -> UInt8[np.ndarray, "h w 3"]:
    gap = np.full((pictures[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([part for p in pictures for part in (p, gap)][:-1], axis=1)


def _depth_picture(scene: Scene, i: int, colours: DepthColours) -> UInt8[np.ndarray, "H W 3"]:
    inverse = 1.0 / np.asarray(scene.depth[i])
    level = np.clip((inverse - colours.far) / (colours.near - colours.far), 0.0, 1.0)
    picture = _coloured(np.nan_to_num(level), cv2.COLORMAP_TURBO).astype(np.float32)
    picture[np.asarray(scene.confidence[i]) <= 0] *= _FILLED
    if colours.guessed:
        picture = np.repeat(120.0 * (0.5 + 0.5 * level[..., None]), 3, axis=-1)
    picture[~np.isfinite(inverse)] = 96
    return picture.astype(np.uint8)


def _coloured(level: Float32[np.ndarray, "*b"], colours: int) -> UInt8[np.ndarray, "*b 3"]:
    grey = (255 * level).astype(np.uint8)
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], colours)[:, 0, ::-1]
    return table[grey]


def _motion_picture(scene: Scene, i: int) -> UInt8[np.ndarray, "H W 3"]:
    grey = cv2.cvtColor(np.ascontiguousarray(scene.frames[i]), cv2.COLOR_RGB2GRAY)
    share = 0.75 * np.asarray(scene.dynamic[i])[..., None]
    orange = np.array([255, 120, 0], np.float32)
    return ((1 - share) * 0.6 * grey[..., None] + share * orange).astype(np.uint8)


def _track_picture(scene: Scene, i: int) -> UInt8[np.ndarray, "H W 3"]:
    """Where a grid of this frame's points was in the frames before, by the scene's own motion."""
    width, height = scene.size
    picture = (np.asarray(scene.frames[i]) * 0.5).astype(np.uint8)
    x, y = np.meshgrid(
        np.arange(_SPACING // 2, width, _SPACING) + 0.5,
        np.arange(_SPACING // 2, height, _SPACING) + 0.5,
    )
    pixels = np.stack([x, y], axis=-1).reshape(-1, 2)
    start = max(0, i - _TRAIL) if i > 0 else min(len(scene) - 1, _TRAIL)
    order = list(range(start, i + 1)) if i > 0 else list(range(start, -1, -1))
    trails = np.stack(
        [
            project_to(points, scene.cameras.intrinsics[j], scene.cameras.camera_from_world[j])[0]
            for j, points in zip(order, scene.pointmap(i, order, pixels), strict=True)
        ],
        axis=1,
    )
    moving = np.asarray(scene.dynamic[i])[pixels[:, 1].astype(int), pixels[:, 0].astype(int)] > 0.5
    hue = _coloured((pixels[:, 1] / height).astype(np.float32), cv2.COLORMAP_RAINBOW)
    for trail, moves, colour in zip(trails, moving, hue, strict=True):
        if not np.isfinite(trail).all():
            continue
        shade = (255, 140, 20) if moves else tuple(int(c) for c in colour)
        points = np.round((trail - 0.5) * 16).clip(-1e6, 1e6).astype(np.int32)[None]
        cv2.polylines(picture, points, False, shade, 2 if moves else 1, cv2.LINE_AA, 4)
    return picture
