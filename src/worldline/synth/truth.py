"""The truth of synthetic clips: where every seen point is at any time, and who sees it.

Every function takes B worlds at once and works on the worlds' device. A rendering names what each
pixel sees; the world says where that is at any time; a ray says whether it is seen there.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.geometry.projection import invert, project
from worldline.synth import chunks
from worldline.synth.camera import Cameras
from worldline.synth.cast import Rays, blocked
from worldline.synth.render import Rendering
from worldline.synth.world import World

SHORT = 1e-3  # of the way: a ray to a point stops before the surface that the point lies on
POINTS_A_TILE = 256


class Flow(NamedTuple):
    """Where frames' pixels are in other frames, in pixels, and whether they are seen there."""

    flow: Float[Tensor, "B H W 2"]
    visible: Bool[Tensor, "B H W"]


class Tracks(NamedTuple):
    """M surface points over N frames: world positions in metres, pixels, and visibility."""

    xyz: Float[Tensor, "B N M 3"]
    uv: Float[Tensor, "B N M 2"]
    visible: Bool[Tensor, "B N M"]


class Points(NamedTuple):
    """Surface points of B worlds: positions in metres, names, and which of them mean anything."""

    xyz: Float[Tensor, "B P 3"]
    instance: Int[Tensor, "B P"]
    material: Float[Tensor, "B P 3"]
    valid: Bool[Tensor, "B P"]


def pointmap(
    world: World, seen: Rendering, i: int, times: Float[Tensor, "B N"]
) -> Float[Tensor, "B N H W 3"]:
    """World positions, at any times, of the points seen in frame ``i`` (NaN where nothing is)."""
    instance, material = seen.instance[:, i].flatten(1), seen.material[:, i].flatten(1, 2)
    shape = seen.instance.shape[-2:]
    return world.at(instance, material, times).unflatten(2, shape)


def displacement(
    world: World, cameras: Cameras, seen: Rendering, i: int, times: Float[Tensor, "B N"]
) -> Float[Tensor, "B N H W 3"]:
    """How far the points seen in frame ``i`` have come at any times, in metres; 0 at their own.

    Exactly 0 for what stands. NaN where nothing is seen.
    """
    own = cameras.times[:, i : i + 1]
    return pointmap(world, seen, i, times) - pointmap(world, seen, i, own)


def dynamic(world: World, cameras: Cameras, seen: Rendering) -> Bool[Tensor, "B N H W"]:
    """Pixels of objects that have a point which moves during the clip."""
    moves = world.moves(cameras.times)
    own = moves.gather(1, seen.instance.clamp_min(0).flatten(1)).view_as(seen.instance)
    return own & (seen.instance >= 0)


def look(
    cameras: Cameras, points: Float[Tensor, "B N P 3"]
) -> tuple[Float[Tensor, "B N P 2"], Float[Tensor, "B N P"], Bool[Tensor, "B N P"]]:
    """Pixels and z-depths of points in each frame, and whether they are inside the picture."""
    from_world = invert(cameras.world_from_camera).to(points)
    uv, depth = project(points, cameras.intrinsics.to(points), from_world)
    size = torch.tensor(cameras.size, device=points.device)
    return uv, depth, (depth > 0) & ((uv >= 0) & (uv < size)).all(dim=-1)


def visible(
    world: World, cameras: Cameras, points: Float[Tensor, "B P 3"] | Float[Tensor, "B N P 3"]
) -> Bool[Tensor, "B N P"]:
    """Whether points are in each frame's picture with nothing in front at its time: a ray test.

    Points [B, P, 3] are the same for all frames. Neighbours in the list should be neighbours in
    space: rays are cast in groups of such. NaN points are not visible.
    """
    if points.dim() == 3:
        points = points[:, None].expand(-1, cameras.times.shape[1], -1, -1)
    _, _, inside = look(cameras, points)
    snapshot = world.snapshot(cameras.times)
    count = points.shape[2]
    tiles = max(-(-count // POINTS_A_TILE), 1)
    padded = torch.cat(
        [points, points[:, :, -1:].expand(-1, -1, tiles * POINTS_A_TILE - count, -1)], 2
    )
    grouped = padded.float().nan_to_num().reshape(-1, POINTS_A_TILE, 3).mT
    frame = torch.arange(cameras.times.numel(), device=world.device).repeat_interleave(tiles)
    eye = cameras.world_from_camera.flatten(0, 1)[:, :3, 3:].to(grouped)

    def work(part: slice) -> Tensor:
        own = frame[part]
        rays = Rays(own, eye[own], grouped[part] - eye[own])
        return blocked(snapshot, rays, limit=1 - SHORT)

    parts = list(chunks.slices(len(frame), POINTS_A_TILE, world.device))
    hidden = torch.cat(chunks.each(work, parts, world.device))
    return inside & ~hidden.reshape(*points.shape[:2], -1)[..., :count]


def flow(world: World, cameras: Cameras, seen: Rendering, i: int, j: int) -> Flow:
    """Optical flow from frame ``i`` to ``j`` (backward where j < i); not visible: occluded there.

    Hidden points have their flow, too. NaN where nothing is seen.
    """
    target = cameras.frames([j])
    points = pointmap(world, seen, i, target.times)
    shape = points.shape[2:4]
    uv, _, _ = look(target, points.flatten(2, 3))
    own, _, _ = look(
        cameras.frames([i]), pointmap(world, seen, i, cameras.times[:, [i]]).flatten(2, 3)
    )
    sees = visible(world, target, points.flatten(2, 3))
    return Flow((uv - own)[:, 0].unflatten(1, shape), sees[:, 0].unflatten(1, shape))


def tracks(
    world: World,
    cameras: Cameras,
    instance: Int[Tensor, "B M"],
    material: Float[Tensor, "B M 3"],
) -> Tracks:
    """Named surface points through all frames (names: a rendering's, or ``surface_points``')."""
    xyz = world.at(instance, material, cameras.times)
    uv, _, _ = look(cameras, xyz)
    return Tracks(xyz, uv, visible(world, cameras, xyz))


def seen_points(world: World, seen: Rendering, time: Float[Tensor, " B"]) -> Points:
    """All points that any frame sees, where they are at ``time``, hidden then or not."""
    instance = seen.instance.flatten(1)
    material = seen.material.flatten(1, 3)
    xyz = world.at(instance, material, time[:, None])[:, 0]
    return Points(xyz, instance, material, instance >= 0)
