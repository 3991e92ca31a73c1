"""Light on the sensor of a camera that is no pinhole: open for a while, wide open, row by row.

Each ray of a frame has a moment and a way through the lens of its own. The rays of a strip of rows
that share both are those of a pinhole camera, a little later and a little aside: so a picture is
the mean of a few passes of such pinholes, and none of this concerns the ray caster.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.synth.camera import Cameras
from worldline.synth.motion import rotation
from worldline.synth.render import grid, light
from worldline.synth.shading import sun_directions
from worldline.synth.world import World

GOLDEN = 0.6180340  # its multiples modulo 1 spread evenly, and apart from those that follow


class Optics(NamedTuple):
    """Shutter and lens of B cameras.

    ``shutter`` and ``readout`` in seconds: how long each row is open, and how much later the last
    one opens than the first. The frame's time is the middle of both. ``aperture`` is the lens'
    radius and ``focus`` the depth that is sharp, in metres. ``distortion`` is OpenCV's k1 and k2.
    """

    shutter: Float[Tensor, " B"]
    readout: Float[Tensor, " B"]
    aperture: Float[Tensor, " B"]
    focus: Float[Tensor, " B"]
    distortion: Float[Tensor, "B 2"]


def gather(
    world: World,
    cameras: Cameras,
    optics: Optics,
    *,
    bands: int = 1,
    passes: int = 8,
    samples: int = 1,
    suns: int = 1,
) -> Float[Tensor, "B N H W 3"]:
    """Linear light (not clipped) as the mean of at least ``passes`` rays a pixel.

    Each has its own moment of the exposure, point of the aperture, place in the pixel (one of
    samples²) and ``suns``. Rows are read in ``bands`` strips, each at one time: the more, the
    smoother is what the rolling shutter bends.
    """
    places = grid(samples)
    passes = -(-passes // len(places)) * len(places)
    height = -(-cameras.size[1] // bands)
    tops = torch.arange(0, cameras.size[1], height, device=world.device).double()
    read = ((tops + 0.5 * height) / cameras.size[1] - 0.5) * optics.readout[:, None]
    lights = sun_directions(world.light, suns * passes)
    shape = (*cameras.times.shape, len(tops))
    bent = None
    if (optics.distortion != 0).any():
        bent = optics.distortion[:, None].expand(-1, shape[1] * shape[2], -1)

    def one(k: int) -> Tensor:
        exposed = ((k + 0.5) / passes - 0.5) * optics.shutter[:, None] + read
        moment = delayed(cameras, exposed[:, None].expand(shape))
        strip = _cropped(moment, tops.repeat(shape[1]), height)
        aside = _aside(strip, optics, _on_disc(k, passes))
        return light(world, _shifted(aside, places[k % len(places)]), lights[k::passes], bent)

    total = one(0)
    for k in range(1, passes):
        total += one(k)
    strips = (total / passes).unflatten(1, shape[1:])
    return strips.flatten(2, 3)[:, :, : cameras.size[1]]


def delayed(cameras: Cameras, by: Float[Tensor, "B N M"]) -> Cameras:
    """The camera ``by`` seconds after each of its frames: N * M frames, those of a frame together.

    It goes on a parabola through the frame and its neighbours (a line where there are two frames),
    so poses are the given ones, to the last bit, where ``by`` is 0.
    """
    frames = cameras.times.shape[1]
    some = min(frames, 3)
    own = torch.arange(frames, device=by.device)
    near = (own - 1).clamp(0, frames - some)[:, None] + torch.arange(some, device=by.device)
    weight = _weights(cameras.times[:, near], cameras.times[..., None] + by)
    pose = cameras.world_from_camera
    mean = torch.einsum("bnmj,bnjxy->bnmxy", weight, cameras.intrinsics[:, near].to(weight))
    place = torch.einsum("bnmj,bnjx->bnmx", weight, pose[:, near, :3, 3].to(weight))
    turned = pose[:, :, None, :3, :3].mT @ pose[:, near, :3, :3]
    turn = torch.einsum("bnmj,bnjx->bnmx", weight, _rotation_vector(turned).to(weight))
    made = pose[:, :, None].to(weight).repeat(1, 1, by.shape[2], 1, 1)
    made[..., :3, 3] = place
    made[..., :3, :3] = made[..., :3, :3] @ rotation(turn)
    times = cameras.times[..., None] + by
    return Cameras(made.flatten(1, 2), mean.flatten(1, 2), cameras.size, times.flatten(1, 2))


def _weights(
    knots: Float[Tensor, "B N J"], times: Float[Tensor, "B N M"]
) -> Float[Tensor, "B N M J"]:
    """How much each knot counts at times: Lagrange's polynomials, exactly 0 or 1 at the knots."""
    columns = []
    for j in range(knots.shape[-1]):
        others = [i for i in range(knots.shape[-1]) if i != j]
        away = times[..., None] - knots[..., None, others]
        apart = knots[..., None, j : j + 1] - knots[..., None, others]
        columns.append((away / apart).prod(dim=-1))
    return torch.stack(columns, dim=-1)


def _rotation_vector(R: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """Rotation vectors of rotations by less than half a turn; exactly 0 for the identity."""
    sine = 0.5 * torch.stack(
        [R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]],
        dim=-1,
    )
    length = sine.norm(dim=-1, keepdim=True)
    cosine = 0.5 * (R.diagonal(dim1=-2, dim2=-1).sum(dim=-1, keepdim=True) - 1)
    return torch.where(length > 0, sine / length.clamp_min(1e-30), 0) * torch.atan2(length, cosine)


def _cropped(cameras: Cameras, tops: Float[Tensor, " N"], height: int) -> Cameras:
    """Cameras that see ``height`` rows only, from a row of their own on."""
    lens = cameras.intrinsics.clone()
    lens[..., 1, 2] -= tops.to(lens)
    return Cameras(cameras.world_from_camera, lens, (cameras.size[0], height), cameras.times)


def _shifted(cameras: Cameras, within: tuple[float, float]) -> Cameras:
    """Cameras whose rays go through another point of each pixel than its middle."""
    lens = cameras.intrinsics.clone()
    lens[..., :2, 2] -= torch.tensor(within).to(lens) - 0.5
    return Cameras(cameras.world_from_camera, lens, cameras.size, cameras.times)


def _aside(cameras: Cameras, optics: Optics, point: tuple[float, float]) -> Cameras:
    """Pinholes at a point of the apertures that still agree on what is in focus (a thin lens)."""
    pose, lens = cameras.world_from_camera.clone(), cameras.intrinsics.clone()
    way = (optics.aperture[:, None] * torch.tensor(point).to(optics.aperture)).to(pose)[:, None]
    pose[..., :3, 3] += (pose[..., :3, :2] @ way[..., None])[..., 0]
    focal = torch.stack([lens[..., 0, 0], lens[..., 1, 1]], dim=-1)
    lens[..., :2, 2] += focal * way.to(lens) / optics.focus[:, None, None].to(lens)
    return Cameras(pose, lens, cameras.size, cameras.times)


def _on_disc(k: int, count: int) -> tuple[float, float]:
    """The k-th of ``count`` points spread over the unit disc, unrelated to how far k has come."""
    if count == 1:
        return 0.0, 0.0
    radius = ((k * GOLDEN + 0.5) % 1) ** 0.5
    angle = torch.tensor(2.399963 * k)  # the golden angle
    return radius * float(angle.cos()), radius * float(angle.sin())
