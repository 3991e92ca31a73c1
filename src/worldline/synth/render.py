"""Pictures of synthetic worlds, with the truth of every pixel.

The truth (depth, object, material coordinates, normals) is that of the ray through each pixel's
centre; the colour is the mean over a grid of rays inside the pixel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldline.synth import chunks
from worldline.synth.camera import Cameras, Tiling, rays, straightened
from worldline.synth.cast import Hits, Rays, cast
from worldline.synth.shading import albedo, shade, srgb, sun_directions
from worldline.synth.world import Snapshot, World

_Value = tuple[torch.dtype, tuple[int, ...]]
COLOUR: tuple[_Value, ...] = ((torch.float32, (3,)),)
TRUTH: tuple[_Value, ...] = ((torch.float32, ()), (torch.int64, ()), *COLOUR, *COLOUR)


@dataclass(frozen=True)
class Rendering:
    """Frames of B worlds: colours in [0, 1] and exact truth.

    ``rgb`` is sRGB, ``albedo`` the linear colour without light (None: not asked for); ``depth`` is
    z-depth in metres (inf: nothing is seen), ``instance`` the slot or -1, ``material`` the point's
    place in its object's rest pose (see ``World.at``), ``normal`` the unit normal in the world.
    """

    rgb: Float[Tensor, "B N H W 3"] | None
    albedo: Float[Tensor, "B N H W 3"] | None
    depth: Float[Tensor, "B N H W"]
    instance: Int[Tensor, "B N H W"]
    material: Float[Tensor, "B N H W 3"]
    normal: Float[Tensor, "B N H W 3"]


class _View(NamedTuple):
    """Everything that a piece of the pictures is made from; F moments, G tiles each."""

    snapshot: Snapshot
    pixels: Float[Tensor, "G 2 T"]
    world_from_camera: Float[Tensor, "F 4 4"]
    intrinsics: Float[Tensor, "F 3 3"]
    distortion: Float[Tensor, "F 2"] | None = None

    @classmethod
    def of(
        cls, world: World, cameras: Cameras, distortion: Float[Tensor, "B N 2"] | None = None
    ) -> "_View":
        return cls(
            world.snapshot(cameras.times),
            Tiling(cameras.size).pixels(world.device),
            cameras.world_from_camera.flatten(0, 1).float(),
            cameras.intrinsics.flatten(0, 1).float(),
            None if distortion is None else distortion.flatten(0, 1).float(),
        )


def render(
    world: World,
    cameras: Cameras,
    colour: bool = True,
    samples: int = 1,
    suns: int = 1,
    linear: bool = False,
) -> Rendering:
    """Every frame of ``cameras``: truth at pixel centres and colour over samples² rays a pixel.

    ``suns`` points of the sun's disc light each ray's hit (1: hard shadows). Worlds and cameras are
    on one device, and so is the result, in float32. ``linear`` leaves ``rgb`` as the light that
    comes in: linear, and not clipped.
    """
    view = _View.of(world, cameras)
    lights = sun_directions(world.light, suns * samples**2) if colour else None

    def work(part: slice) -> tuple[Tensor, ...]:
        return _piece(world, view, part, samples, lights, linear)

    depth, instance, material, normal, *seen = _pictures(
        view, cameras, TRUTH + 2 * COLOUR if colour else TRUTH, work
    )
    rgb, own = seen if colour else (None, None)
    return Rendering(rgb, own, depth, instance, material, normal)


def light(
    world: World,
    cameras: Cameras,
    towards: Float[Tensor, "S B 3"],
    distortion: Float[Tensor, "B N 2"] | None = None,
) -> Float[Tensor, "B N H W 3"]:
    """Only the linear light (not clipped) through each pixel's centre, from suns ``towards``.

    ``distortion`` is what the camera does to straight lines (see ``camera.straightened``).
    """
    view = _View.of(world, cameras, distortion)

    def work(part: slice) -> tuple[Tensor, ...]:
        return (_lit(world, view, part, (0.5, 0.5), towards).permute(1, 2, 0),)

    return _pictures(view, cameras, COLOUR, work)[0]


def _pictures(
    view: _View,
    cameras: Cameras,
    values: Sequence[_Value],
    work: Callable[[slice], tuple[Tensor, ...]],
) -> list[Tensor]:
    """What ``work`` finds for tiles, as [B, N, H, W, ...]; ``values`` say what a pixel has."""
    device, tiling = view.pixels.device, Tiling(cameras.size)
    across, down = tiling.grid
    whole = [tiling.empty(len(cameras), *value, device) for value in values]

    def piece(rows: slice) -> None:
        found = work(slice(rows.start * across, rows.stop * across))
        for picture, tiles in zip(whole, found, strict=True):
            tiling.place(picture, rows, tiles)

    parts = chunks.slices(len(cameras) * down, across * view.pixels.shape[-1], device)
    with torch.no_grad():
        chunks.each(piece, list(parts), device)
    width, height = cameras.size
    return [x[:, :height, :width].unflatten(0, tuple(cameras.times.shape)) for x in whole]


def _piece(
    world: World, view: _View, part: slice, samples: int, lights: Tensor | None, linear: bool
) -> tuple[Tensor, ...]:
    """Truth and colour of some tiles, as [g, T, ...]."""
    bundle, pixel = _rays(view, part)
    hits = cast(view.snapshot, bundle)
    truth = (
        hits.distance,
        hits.instance,
        hits.material.permute(1, 2, 0),
        hits.normal.permute(1, 2, 0),
    )
    if lights is None:
        return truth
    own = albedo(world.look, world, view.snapshot, bundle, hits, pixel)
    if samples == 1:
        seen = shade(world.light, view.snapshot, bundle, hits, own, lights, world.gloss)
    else:
        seen = _supersampled(world, view, part, samples, lights)
    seen = seen if linear else srgb(seen)
    return (*truth, seen.permute(1, 2, 0), own.permute(1, 2, 0))


def _supersampled(
    world: World, view: _View, part: slice, samples: int, lights: Tensor
) -> Float[Tensor, "3 g T"]:
    """Mean of linear light over a grid of rays in each pixel; each looks at suns of its own."""
    parts = [
        _lit(world, view, part, within, lights[k :: samples**2])
        for k, within in enumerate(grid(samples))
    ]
    return torch.stack(parts).mean(dim=0)


def _lit(
    world: World, view: _View, part: slice, within: tuple[float, float], suns: Tensor
) -> Float[Tensor, "3 g T"]:
    """Linear light of one ray in each pixel of some tiles."""
    bundle, pixel = _rays(view, part, within)
    hits: Hits = cast(view.snapshot, bundle)
    own = albedo(world.look, world, view.snapshot, bundle, hits, pixel)
    return shade(world.light, view.snapshot, bundle, hits, own, suns, world.gloss)


def grid(samples: int) -> list[tuple[float, float]]:
    """Where in a pixel its samples² rays go, from its top left corner."""
    steps = [(s + 0.5) / samples for s in range(samples)]
    return [(x, y) for y in steps for x in steps]


def _rays(
    view: _View, part: slice, within: tuple[float, float] = (0.5, 0.5)
) -> tuple[Rays, Float[Tensor, " g"]]:
    """The rays of some tiles, and the width of a pixel in metres at depth 1."""
    device = view.pixels.device
    index = torch.arange(part.start, part.stop, device=device)
    frame, tile = index // len(view.pixels), index % len(view.pixels)
    shift = torch.tensor(within, device=device)[:, None] - 0.5
    pose, lens = view.world_from_camera[frame], view.intrinsics[frame]
    ahead = rays(view.pixels[tile] + shift, lens)
    if view.distortion is not None:
        ahead = straightened(ahead, view.distortion[frame])
    return Rays(frame, pose[:, :3, 3:], pose[:, :3, :3] @ ahead), 1 / lens[:, 0, 0]
