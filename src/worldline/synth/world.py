"""Synthetic worlds: solids, how they move and deform, how they look, and the light. In batches.

Every surface point has a name that never changes: (instance, X), the slot of its object and its
place X in the object's rest pose, in the object's own metres. ``World.at`` says where that point is
at any time, so every correspondence is exact, whether the point is seen or hidden.

B worlds share one list of slots: slot k has the same kind in all of them, and is switched off where
a world has no such object. World axes have z up.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.synth import trees
from worldline.synth.deformation import Deformation, deform
from worldline.synth.fields import Blend, Body, Field, Terrain, Torus, extent, size
from worldline.synth.motion import Joints
from worldline.synth.shapes import MARCHED, Kind

NOTHING = -1  # the instance of a ray that meets nothing


class Lamps(NamedTuple):
    """L points of light in each of B worlds: places in metres, linear RGB of what they shed.

    A surface that faces a lamp at 1 m gets ``colour``, at 2 m a quarter of it. Black ones are off.
    """

    place: Float[Tensor, "B L 3"]
    colour: Float[Tensor, "B L 3"]


class Gloss(NamedTuple):
    """How objects shine: ``strength`` of the highlight (0: matt), ``sharpness`` its exponent.

    Blinn-Phong, normalised: a sharper highlight (1: wide, 1000: a mirror's) is as bright in all.
    """

    strength: Float[Tensor, "B K"]
    sharpness: Float[Tensor, "B K"]


@dataclass(frozen=True)
class Light:
    """A far sun over a sky, for each of B worlds; colours are linear RGB.

    ``towards`` points to the sun (any length); ``spread`` is its angular radius in radians (soft
    shadows). The sky lights what faces up and ``bounce`` what faces down. Rays that meet nothing
    see ``horizon`` turn into ``zenith``. ``fog`` is how much of what is seen turns into ``horizon``
    per metre (an exponential; it does not hide the sky).
    """

    towards: Float[Tensor, "B 3"]
    sun: Float[Tensor, "B 3"]
    sky: Float[Tensor, "B 3"]
    bounce: Float[Tensor, "B 3"]
    horizon: Float[Tensor, "B 3"]
    zenith: Float[Tensor, "B 3"]
    spread: Float[Tensor, " B"]
    _: KW_ONLY
    lamps: Lamps | None = None
    fog: Float[Tensor, " B"] | None = None

    @classmethod
    def of(
        cls,
        towards: Sequence[float],
        sun: Sequence[float],
        sky: Sequence[float],
        bounce: Sequence[float],
        spread: float = 0.03,
    ) -> "Light":
        """The light of one world, from plain numbers; the sky's colour is seen, too."""
        rows = [torch.tensor([list(row)]) for row in (towards, sun, sky, bounce)]
        return cls(rows[0], rows[1], rows[2], rows[3], rows[2], rows[2], torch.tensor([spread]))


class Surface(NamedTuple):
    """M surface points to be coloured: their names, and how finely they are seen.

    ``normal`` is that of the rest pose (unit); ``footprint`` is a pixel's width there in metres.
    """

    kinds: tuple[Kind, ...]
    half: Float[Tensor, "B K 3"]
    world: Int[Tensor, " M"]
    instance: Int[Tensor, " M"]
    material: Float[Tensor, "3 M"]
    normal: Float[Tensor, "3 M"]
    footprint: Float[Tensor, " M"]


@runtime_checkable
class Look(Protocol):
    """What colours surfaces: a bank of textures, or materials that are worked out anew."""

    def albedo(self, surface: Surface) -> Float[Tensor, "3 M"]:
        """Linear albedo in [0, 1] of surface points; of the points of no object, anything."""
        ...


@dataclass(frozen=True)
class World:
    """B worlds of K slots each.

    ``half`` are half sizes in metres of the solids with a formula (a torus: its outer radius twice
    and its tube's); blends, bodies and terrains have parameters of their own, in the order of their
    slots, and their ``half`` means nothing.
    """

    kinds: tuple[Kind, ...]
    half: Float[Tensor, "B K 3"]
    active: Bool[Tensor, "B K"]
    joints: Joints
    look: Look
    light: Light
    blends: Blend | None = None  # [B, S, ..., 1] for the S slots that are blends
    bodies: Blend | None = None  # likewise: the rest poses of the bodies ...
    deformation: Deformation | None = None  # ... and how they deform
    terrains: Terrain | None = None
    gloss: Gloss | None = None  # none: all is matt

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.half.device

    def to(self, target: torch.device | torch.dtype | str) -> "World":
        """The worlds on another device or in another floating-point dtype."""
        return trees.to(self, target)

    def fingerprint(self) -> str:
        """A hash of kinds and parameters: the same worlds have the same one on every machine."""
        return trees.fingerprint(self)

    def slots(self, kind: Kind) -> list[int]:
        """The slots of a kind, in order."""
        return [k for k, other in enumerate(self.kinds) if other is kind]

    def place(self, times: Float[Tensor, "B N"]) -> Float[Tensor, "B N K 4 4"]:
        """World from each object's own metres at ``times`` in seconds (before it deforms)."""
        return self.joints.place(times)

    def at(
        self,
        instance: Int[Tensor, "B M"],
        material: Float[Tensor, "B M 3"],
        times: Float[Tensor, "B N"],
    ) -> Float[Tensor, "B N M 3"]:
        """World positions, at any times, of named surface points; NaN for the points of nothing."""
        slot = instance.clamp_min(0)
        rest = self._deformed(slot, material, times)
        place = self.place(times).to(material)[..., :3, :]
        own = place.gather(2, slot[:, None, :, None, None].expand(*rest.shape[:3], 3, 4))
        moved = (own[..., :3] * rest[..., None, :]).sum(dim=-1) + own[..., 3]
        return torch.where((instance >= 0)[:, None, :, None], moved, torch.nan)

    def _deformed(
        self, slot: Int[Tensor, "B M"], material: Float[Tensor, "B M 3"], times: Tensor
    ) -> Float[Tensor, "B N M 3"]:
        rest = material[:, None].expand(-1, times.shape[1], -1, -1)
        if self.deformation is None:
            return rest
        rank = torch.full((len(self.kinds),), -1, device=slot.device)
        bodies = self.slots(Kind.BODY)
        rank[bodies] = torch.arange(len(bodies), device=slot.device)
        world, which = (rank[slot] >= 0).nonzero(as_tuple=True)
        body = rank[slot[world, which]]
        warp = trees.to(self.deformation.at(times), material.dtype)
        own = trees.each(lambda x: x[world, :, body], warp)
        rest = rest.clone()
        point = material[world, which][:, None, :, None].expand(-1, times.shape[1], -1, -1)
        rest[world, :, which] = deform(own, point)[..., 0]
        return rest

    def moves(self, times: Float[Tensor, "B N"], tolerance: float = 1e-4) -> Bool[Tensor, "B K"]:
        """Which objects have a point that moves by more than ``tolerance`` metres over ``times``.

        Read off the motion itself, at the corners, edges and faces of the objects' boxes.
        """
        signs = torch.tensor([-1.0, 0.0, 1.0], device=self.device).to(self.half)
        lattice = torch.cartesian_prod(signs, signs, signs)
        B, K = self.active.shape
        points = (lattice * self.extent()[:, :, None]).reshape(B, -1, 3)
        owner = torch.arange(K, device=self.device).repeat_interleave(27).expand(B, -1)
        position = self.at(owner, points, times)
        travel = (position - position[:, :1]).norm(dim=-1).amax(dim=1)
        return (travel.reshape(B, K, 27).amax(dim=-1) > tolerance) & self.active

    def extent(self) -> Float[Tensor, "B K 3"]:
        """Half sizes of a box about each object's origin that holds its rest pose."""
        half = self.half.clone()
        solids = {Kind.BLEND: self.blends, Kind.BODY: self.bodies, Kind.TERRAIN: self.terrains}
        for kind, field in solids.items():
            if field is not None:
                half[:, self.slots(kind)] = extent(field)[..., 0].to(half)
        return half

    def snapshot(
        self, times: Float[Tensor, "B N"], dtype: torch.dtype = torch.float32
    ) -> "Snapshot":
        """The worlds frozen at their times, ready to be cast against."""
        count = times.shape[1]
        place = self.place(times).flatten(0, 1)
        moments = [_repeated(f, count) for f in (self.half, self.active)]
        half, active = moments
        fields = {kind: trees.to(f, dtype) for kind, f in self._fields(times, half).items()}
        marched = torch.tensor([kind in MARCHED for kind in self.kinds], device=self.device)
        scale = torch.where(marched[:, None], 1.0, half.to(place))
        inner = place[..., :3, :3] * scale[..., None, :]
        inverse = torch.linalg.inv(inner)
        local = torch.cat([inverse, -inverse @ place[..., :3, 3:]], dim=-1)
        axes = _axes(self.kinds, inner, fields)
        return Snapshot(
            kinds=self.kinds,
            world=torch.arange(len(times), device=self.device).repeat_interleave(count),
            active=active,
            local_from_world=local.to(dtype),
            scale=scale.to(dtype),
            centre=place[..., :3, 3].to(dtype),
            radius=_radii(self.kinds, inner, fields).to(dtype),
            box=torch.cat([place[..., :3, 3:], axes], dim=-1).permute(0, 3, 1, 2).to(dtype),
            fields=fields,
        )

    def _fields(self, times: Float[Tensor, "B N"], half: Tensor) -> dict[Kind, Field]:
        """The parameters [F, S, ..., 1] of the solids that are marched."""
        count = times.shape[1]
        fields: dict[Kind, Field] = {}
        tori = self.slots(Kind.TORUS)
        if tori:
            tube = half[:, tori, 2, None]
            fields[Kind.TORUS] = Torus(half[:, tori, 0, None] - tube, tube)
        if self.blends is not None:
            fields[Kind.BLEND] = _repeated(self.blends, count)
        if self.bodies is not None and self.deformation is not None:
            warp = trees.each(lambda x: x.flatten(0, 1), self.deformation.at(times))
            fields[Kind.BODY] = Body(_repeated(self.bodies, count), warp)
        if self.terrains is not None:
            fields[Kind.TERRAIN] = _repeated(self.terrains, count)
        return fields


@dataclass(frozen=True)
class Snapshot:
    """F moments of worlds (all times of the first world, then of the next), for casting.

    A slot's local space is its unit solid, or its own metres where it is marched; ``scale`` turns
    local coordinates into metres. ``centre`` and ``radius`` are balls that hold the objects (inf:
    everywhere), ``box`` the centres and half edges of boxes that do. ``fields`` are [F, S, ..., 1]
    for the S slots of each marched kind.
    """

    kinds: tuple[Kind, ...]
    world: Int[Tensor, " F"]
    active: Bool[Tensor, "F K"]
    local_from_world: Float[Tensor, "F K 3 4"]
    scale: Float[Tensor, "F K 3"]
    centre: Float[Tensor, "F K 3"]
    radius: Float[Tensor, "F K"]
    box: Float[Tensor, "F 4 K 3"]
    fields: dict[Kind, Field]

    def slots(self, kind: Kind) -> list[int]:
        """The slots of a kind, in order."""
        return [k for k, other in enumerate(self.kinds) if other is kind]


def _repeated(value: trees.T, count: int) -> trees.T:
    """Parameters [B, ...] for each of ``count`` moments of every world: [B * count, ...]."""
    return trees.each(lambda x: x.repeat_interleave(count, dim=0), value)


def _radii(
    kinds: tuple[Kind, ...], inner: Float[Tensor, "F K 3 3"], fields: dict[Kind, Field]
) -> Float[Tensor, "F K"]:
    """Radii of the balls that hold the objects, whatever the maps do to them."""
    signs = torch.tensor([[1.0, 1, 1], [1, 1, -1], [1, -1, 1], [1, -1, -1]]).to(inner)
    corner = (inner @ signs.mT).norm(dim=-2).amax(dim=-1)
    gram = inner.mT @ inner
    stretch = gram.abs().sum(dim=-1).amax(dim=-1).sqrt()  # at least the largest singular value
    radius = torch.where(_mask(kinds, inner, Kind.BALL), stretch, corner)
    for kind, field in fields.items():
        slots = [k for k, other in enumerate(kinds) if other is kind]
        radius[:, slots] = stretch[:, slots] * size(field)[..., 0].to(stretch)
    everywhere = _mask(kinds, inner, Kind.ROOM, Kind.GROUND, Kind.TERRAIN)
    return torch.where(everywhere, torch.inf, radius)


def _axes(
    kinds: tuple[Kind, ...], inner: Float[Tensor, "F K 3 3"], fields: dict[Kind, Field]
) -> Float[Tensor, "F K 3 3"]:
    """The half edges of the boxes that hold the objects."""
    axes = inner.clone()
    for kind, field in fields.items():
        slots = [k for k, other in enumerate(kinds) if other is kind]
        axes[:, slots] *= extent(field)[..., 0].to(inner)[..., None, :]
    return axes


def _mask(kinds: tuple[Kind, ...], like: Tensor, *some: Kind) -> Tensor:
    return torch.tensor([kind in some for kind in kinds], device=like.device)
