"""One HTML page that shows a scene anywhere: nothing to install, nothing fetched.

Some frames' points are taken, each with where it is at some times; what stands still has one
place. Places are 16-bit steps within the scene's box, in `page.html` drawn with WebGL.
"""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8, UInt16
from PIL import Image

from worldline.errors import InputError
from worldline.scene import Scene
from worldline.scene.store import atomic_file
from worldline.viewer.layers import choose_pixels, thinned
from worldline.viewer.placement import Placement, cameras_to_draw, fields_of_view, place

_TEMPLATE = Path(__file__).with_name("page.html")
_SLOT = "/*SCENE*/null"
_SOURCES, _TIMES = 12, 32  # frames whose points are taken; times at which they are placed
_FAR = 12.0  # median depths from the middle: what is farther would coarsen the 16-bit steps
_STILL = 1e-3  # of the median depth: less than this is no motion
_MOVING_SHARE = 0.25  # of the points at most: each of them has a place for every time
_STEPS = 65535


@dataclass(frozen=True)
class Recording:
    """S frames' points at T times; static ones first sorted by source, likewise the moving.

    sources, times: frame indices.
    static: places that hold at all times; moving: one for each time. World, scene units.
    static_starts, moving_starts: the B = S + 1 bounds between the sources' points.
    """

    sources: Int32[np.ndarray, " S"]
    times: Int32[np.ndarray, " T"]
    static: Float32[np.ndarray, "P 3"]
    static_rgb: UInt8[np.ndarray, "P 3"]
    static_starts: Int32[np.ndarray, " B"]
    moving: Float32[np.ndarray, "T M 3"]
    moving_rgb: UInt8[np.ndarray, "M 3"]
    moving_starts: Int32[np.ndarray, " B"]
    moving_patch: float  # side of a moving point's patch of surface, 1 for a static one's


def write_page(scene: Scene, path: str | Path, *, max_points: int = 300_000) -> None:
    """Write the page at `path`.

    Raises InputError when no point's depth is known, StorageError when the disk refuses.
    """
    placement = place(scene)
    data = page_data(scene, record(scene, placement, max_points), placement)
    # "<" is escaped so that no title can end the script
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    html = _TEMPLATE.read_text(encoding="utf-8").replace(_SLOT, text)
    with atomic_file(path, needed=len(html)) as partial:
        partial.write_text(html, encoding="utf-8")


def record(scene: Scene, placement: Placement, max_points: int) -> Recording:
    """What the page holds of the scene, at most `max_points` points."""
    sources, times = _spread(len(scene), _SOURCES), _spread(len(scene), _TIMES)
    quota = max_points // len(sources)
    parts = [_record_frame(scene, int(i), times, quota, placement) for i in sources]
    static, static_rgb, moving, moving_rgb, found = zip(*parts, strict=True)
    if not sum(map(len, static_rgb)) + sum(map(len, moving_rgb)):
        raise InputError("there is nothing to show: the depth of this scene is unknown")
    return Recording(
        sources,
        times,
        np.concatenate(static),
        np.concatenate(static_rgb),
        _starts(static_rgb),
        np.concatenate(moving, axis=1),
        np.concatenate(moving_rgb),
        _starts(moving_rgb),
        float(np.sqrt(sum(found) / max(1, sum(map(len, moving_rgb))))) if sum(found) else 1.0,
    )


def page_data(scene: Scene, recording: Recording, placement: Placement) -> dict:
    """The recording as plain JSON values: arrays become base64 of little-endian bytes."""
    places = np.concatenate([recording.static, recording.moving.reshape(-1, 3)])
    low, high = places.min(axis=0), places.max(axis=0)
    span = np.maximum(high - low, 1e-9)
    poses = scene.cameras.world_from_camera
    focal = float(np.median(scene.cameras.intrinsics[:, 0, 0]))
    known = np.isfinite(scene.depth[recording.sources]).sum()
    drawn = max(1, len(recording.static) + recording.moving_patch**2 * recording.moving.shape[1])
    width, height = scene.size
    return {
        "title": str(scene.provenance.get("source") or "scene"),
        "sources": recording.sources.tolist(),
        "times": recording.times.tolist(),
        "seconds": scene.times[recording.times].tolist(),
        "low": low.tolist(),
        "span": span.tolist(),
        "static": _packed(quantise(recording.static, low, span)),
        "staticRgb": _packed(recording.static_rgb),
        "staticStarts": recording.static_starts.tolist(),
        "moving": _packed(quantise(recording.moving, low, span)),
        "movingRgb": _packed(recording.moving_rgb),
        "movingStarts": recording.moving_starts.tolist(),
        "eye": placement.eye.tolist(),
        "target": placement.target.tolist(),
        "distance": placement.distance,
        "movingPatch": recording.moving_patch,
        "size": float(np.sqrt(known / drawn)) / focal,
        "poses": np.round(poses[:, :3], 5).tolist(),
        "drawn": cameras_to_draw(scene, placement, 24).tolist(),
        "fov": float(np.median(fields_of_view(scene))),
        "aspect": width / height,
        "pictures": [_jpeg(scene, int(i)) for i in recording.times],
    }


def quantise(
    places: Float32[np.ndarray, "*shape 3"],
    low: Float[np.ndarray, "3"],
    span: Float[np.ndarray, "3"],
) -> UInt16[np.ndarray, "*shape 3"]:
    """Places as 16-bit steps within the box; `low + steps / 65535 * span` gives them back."""
    return np.round((places - low) / span * _STEPS).astype("<u2")


def _record_frame(
    scene: Scene, i: int, times: Int32[np.ndarray, " T"], quota: int, placement: Placement
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """Frame i's static points and colours, its moving ones', and of how many these were taken."""
    chosen = choose_pixels(scene, i, quota)
    row, column = np.divmod(chosen, scene.size[0])
    pixels, rgb = np.stack([column, row], axis=-1) + 0.5, scene.frames[i, row, column]
    home = scene.pointmap(i, pixels=pixels)
    near = np.linalg.norm(home - placement.target, axis=-1) < _reach(scene, placement)
    home, pixels, rgb = home[near], pixels[near], rgb[near]
    places = scene.pointmap(i, at=times, pixels=pixels)
    moves = _moves(places, home, placement.distance)
    kept = thinned(np.flatnonzero(moves), int(_MOVING_SHARE * quota))
    limit = 2 * _reach(scene, placement)  # a wild guess far from home must not stretch the box
    moving = np.clip(places[:, kept], placement.target - limit, placement.target + limit)
    return home[~moves], rgb[~moves], moving.astype(np.float32), rgb[kept], int(moves.sum())


def _moves(
    places: Float32[np.ndarray, "T P 3"], home: Float32[np.ndarray, "P 3"], distance: float
) -> Bool[np.ndarray, " P"]:
    return (np.abs(places - home) > _STILL * distance).any(axis=(0, 2))


def _reach(scene: Scene, placement: Placement) -> float:
    """How far from the target points are taken: enough for the whole camera path."""
    path = scene.cameras.world_from_camera[:, :3, 3]
    return _FAR * placement.distance + float(np.linalg.norm(path, axis=-1).max())


def _spread(count: int, most: int) -> Int32[np.ndarray, " K"]:
    """At most `most` of `count` frames, evenly, the first and last among them."""
    return np.unique(np.linspace(0, count - 1, most).round()).astype(np.int32)


def _starts(parts: tuple[np.ndarray, ...]) -> Int32[np.ndarray, " B"]:
    return np.cumsum([0, *map(len, parts)]).astype(np.int32)


def _packed(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _jpeg(scene: Scene, i: int) -> str:
    picture = Image.fromarray(np.asarray(scene.frames[i]))
    picture.thumbnail((240, 240))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=75)
    return base64.b64encode(file.getvalue()).decode("ascii")
