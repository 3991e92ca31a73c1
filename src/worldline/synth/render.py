"""Pictures of synthetic worlds, with the truth of every pixel.

The truth (depth, object, material coordinates, normals) is that of the ray through each pixel's
centre; the colour is the mean over a grid of rays inside the pixel.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from worldline.synth import chunks
from worldline.synth.camera import Cameras, Tiling, rays
from worldline.synth.cast import Hits, Rays, cast
from worldline.synth.shading import albedo, shade, srgb, sun_directions
from worldline.synth.world import Snapshot, World


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


def render(
    world: World,
    cameras: Cameras,
    colour: bool = True,
    samples: int = 1,
    suns: int = 1,
) -> Rendering:
    """Every frame of ``cameras``: truth at pixel centres and colour over samples² rays a pixel.

    ``suns`` points of the sun's disc light each ray's hit (1: hard shadows). Worlds and cameras are
    on one device, and so is the result, in float32.
    """
    tiling = Tiling(cameras.size)
    view = _View(
        world.snapshot(cameras.times),
        tiling.pixels(world.device),
        cameras.world_from_camera.flatten(0, 1).float(),
        cameras.intrinsics.flatten(0, 1).float(),
    )
    lights = sun_directions(world.light, suns * samples**2) if colour else None

    def work(part: slice) -> tuple[Tensor, ...]:
        return _piece(world, view, part, samples, lights)

    count, length = len(tiling) * len(cameras), view.pixels.shape[-1]
    with torch.no_grad():
        parts = list(chunks.slices(count, length, world.device))
        pieces = chunks.each(work, parts, world.device)
    whole = [tiling.picture(torch.cat(column)) for column in zip(*pieces, strict=True)]
    shaped = [x.unflatten(0, tuple(cameras.times.shape)) for x in whole]
    depth, instance, material, normal = shaped[:4]
    rgb, own = shaped[4:] if colour else (None, None)
    return Rendering(rgb, own, depth, instance, material, normal)


def _piece(
    world: World, view: _View, part: slice, samples: int, lights: Tensor | None
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
        linear = shade(world.light, view.snapshot, bundle, hits, own, lights)
    else:
        linear = _supersampled(world, view, part, samples, lights)
    return (*truth, srgb(linear).permute(1, 2, 0), own.permute(1, 2, 0))


def _supersampled(
    world: World, view: _View, part: slice, samples: int, lights: Tensor
) -> Float[Tensor, "3 g T"]:
    """Mean of linear light over a grid of rays in each pixel; each looks at suns of its own."""
    steps = [(s + 0.5) / samples for s in range(samples)]
    total = torch.zeros((), device=view.pixels.device)
    for k, within in enumerate((x, y) for y in steps for x in steps):
        bundle, pixel = _rays(view, part, within)
        hits: Hits = cast(view.snapshot, bundle)
        own = albedo(world.look, world, view.snapshot, bundle, hits, pixel)
        own_suns = lights[k :: samples**2]
        total = total + shade(world.light, view.snapshot, bundle, hits, own, own_suns)
    return total / samples**2


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
    return Rays(frame, pose[:, :3, 3:], pose[:, :3, :3] @ ahead), 1 / lens[:, 0, 0]
