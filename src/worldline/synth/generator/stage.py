"""Where worlds take place: rooms, tables in rooms, open ground, hills; and their light."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldline.synth.fields import Terrain, height
from worldline.synth.generator.draw import Draws
from worldline.synth.generator.mix import Mix
from worldline.synth.world import Lamps, Light

TABLE = 0.75  # m: how high a table's top is; it is z = 0 for what stands on it
WAVES = 5
LAMPS = 2
WARM, COLD = (1.0, 0.72, 0.45), (0.85, 0.95, 1.0)  # of lamps
FAR = 12.0  # world scales to the horizon of hills


@dataclass(frozen=True)
class Stage:
    """B places. z = 0 is where objects stand; lengths in metres.

    ``scale`` is half the width of the smaller side of the ``arena``, the rectangle [-a, a] that
    objects stay in. Furniture stands at ``floor`` in the ``hall``, which is the arena but for
    worlds on a table. ``tall`` is how high things may be.
    """

    indoor: Bool[Tensor, " B"]
    table: Bool[Tensor, " B"]
    hilly: Bool[Tensor, " B"]
    scale: Float[Tensor, " B"]
    arena: Float[Tensor, "B 2"]
    hall: Float[Tensor, "B 2"]
    floor: Float[Tensor, " B"]
    tall: Float[Tensor, " B"]
    room: Float[Tensor, "B 3"]
    terrain: Terrain  # [B, 1]: flat where there are no hills

    def ground(self, xy: Float[Tensor, "B *n 2"]) -> Float[Tensor, "B *n"]:
        """How high the ground is: 0 but for hills."""
        flat = xy.flatten(1, -2).mT[:, None]
        return height(self.terrain, flat)[:, 0].reshape(xy.shape[:-1])


def stage(draw: Draws, mix: Mix) -> Stage:
    """Random places."""
    indoor = draw.chance(mix.indoor)
    table = indoor & draw.chance(mix.tabletop)
    hilly = ~indoor & draw.chance(mix.terrain)
    wide = draw.spread(2, low=2.2, high=4.8)
    open_air = draw.spread(1, low=4.0, high=20.0) * draw.uniform(2, low=0.8, high=1.25)
    top = draw.spread(1, low=0.5, high=0.9) * draw.uniform(2, low=0.75, high=1.2)
    hall = torch.where(indoor[:, None], wide, open_air)
    arena = torch.where(table[:, None], top, hall)
    scale = arena.amin(dim=1)
    floor = torch.where(table, -TABLE, 0.0)
    high = draw.uniform(low=2.4, high=3.6).maximum(0.55 * wide.amin(dim=1))
    tall = torch.where(indoor, floor + high, 0.8 * scale)
    room = torch.cat([wide + draw.uniform(1, low=0.05, high=0.4), 0.5 * high[:, None]], dim=1)
    # what stands at the edge is not in the wall
    return Stage(
        indoor, table, hilly, scale, arena, hall, floor, tall, room, _hills(draw, hilly, scale)
    )


def _hills(draw: Draws, hilly: Tensor, scale: Tensor) -> Terrain:
    """Long waves and short ones; the longer the higher, as in landscapes."""
    length = scale[:, None] * draw.spread(WAVES, low=1.2, high=8.0)
    angle = draw.uniform(WAVES, high=2 * torch.pi)
    wave = (2 * torch.pi / length)[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)
    steep = draw.uniform(1, low=0.01, high=0.035) * draw.uniform(WAVES, low=0.3, high=1.0)
    amplitude = torch.where(hilly[:, None], steep * length, 0.0)
    phase = draw.uniform(WAVES, high=2 * torch.pi)
    extent = FAR * scale[:, None].expand(-1, 2)
    return Terrain(*(x[:, None, ..., None] for x in (wave, amplitude, phase, extent)))


def light(draw: Draws, place: Stage) -> Light:
    """Sun and sky by the time of day, clear or overcast; in rooms, lamps and a soft window."""
    azimuth = draw.uniform(high=2 * torch.pi)
    day, clouds, indoor = draw.uniform(), draw.uniform() ** 2, place.indoor[:, None]
    elevation = torch.where(place.indoor, 0.6 + 0.75 * day, 0.16 + 1.0 * day)
    flat = elevation.cos()
    towards = torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], dim=1)
    lamp = _between(WARM, COLD, draw.uniform())
    sunny = _between((1.0, 0.55, 0.25), (1.0, 0.95, 0.86), (1.6 * day).clamp_max(1))
    strong = draw.uniform(1, low=1.3, high=2.2)
    sun = torch.where(indoor, 0.75 * lamp, sunny * (1 - 0.85 * clouds[:, None])) * strong
    blue = _between((0.38, 0.30, 0.42), (0.13, 0.30, 0.68), (1.8 * day).clamp_max(1))
    zenith = blue + clouds[:, None] * (0.55 - blue)
    haze = _between((0.95, 0.62, 0.42), (0.66, 0.78, 0.92), (1.8 * day).clamp_max(1))
    horizon = haze + clouds[:, None] * (0.75 - haze)
    inside = _between((0.42, 0.36, 0.30), (0.36, 0.40, 0.46), draw.uniform())
    sky = torch.where(indoor, inside, 0.5 * (zenith + horizon) * (0.7 + clouds[:, None]))
    bounce = torch.where(indoor, 0.8 * inside, 0.45 * sky + 0.06 * sun)
    spread = torch.where(place.indoor, draw.spread(low=0.03, high=0.2), 0.01 + 0.12 * clouds)
    return Light(
        towards=towards, sun=sun, sky=sky, bounce=bounce, horizon=horizon, zenith=zenith,
        spread=spread,
    )  # fmt: skip


def atmosphere(draw: Draws, mix: Mix, place: Stage, light: Light) -> Light:
    """The same light with lamps in some of the rooms and fog in some of the open places."""
    lit = place.indoor & draw.chance(mix.lamps)
    on = lit[:, None] & (draw.chance(0.5, LAMPS) | (torch.arange(LAMPS) == 0))
    low = (place.floor + 0.55 * 2 * place.room[:, 2])[:, None]
    high = (place.floor + 0.92 * 2 * place.room[:, 2])[:, None]
    spot = 0.8 * place.hall[:, None] * draw.uniform(LAMPS, 2, low=-1.0)
    height = draw.uniform(LAMPS, low=low, high=high)
    # as bright at the height of a table as the weaker suns, whatever the room's height
    strong = draw.spread(LAMPS, low=0.3, high=1.2) * (height - place.floor[:, None] - TABLE) ** 2
    tone = torch.stack([_between(WARM, COLD, share) for share in draw.uniform(LAMPS).T], dim=1)
    colour = tone * (strong * on)[..., None]
    # the depth of air that takes two thirds of the contrast, in world scales
    clear = draw.spread(low=6.0, high=60.0) * place.scale
    fog = torch.where(~place.indoor & draw.chance(mix.foggy), 1 / clear, 0.0)
    return replace(
        light,
        sun=torch.where(lit[:, None], 0.4 * light.sun, light.sun),
        lamps=Lamps(torch.cat([spot, height[..., None]], dim=-1), colour),
        fog=fog,
    )


def _between(
    low: tuple[float, float, float], high: tuple[float, float, float], share: Float[Tensor, " B"]
) -> Float[Tensor, "B 3"]:
    """Colours between two."""
    first, last = (torch.tensor(c, dtype=torch.float64) for c in (low, high))
    return first + share[:, None] * (last - first)
