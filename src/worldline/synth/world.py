"""A synthetic world: solids, what they are made of, how they move, and the light.

Every surface point has a name that never changes: (object index, material coordinates), where the
material coordinates are its place on the unit solid. ``World.at`` says where that point is at any
time, so every correspondence is exact.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.synth.materials import Material
from worldline.synth.shapes import Kind

#: times [N] in seconds -> affine maps [N, K, 4, 4] from each object's own metres to the world's
Motion = Callable[[Float[Tensor, " N"]], Float[Tensor, "N K 4 4"]]


@dataclass(frozen=True)
class Light:
    """A far sun over a sky.

    ``towards`` points to the sun; ``spread`` is its angular radius in radians (soft shadows).
    The sky lights what faces up, the ground's bounce what faces down; colours are linear RGB.
    """

    towards: tuple[float, float, float]
    sun: tuple[float, float, float]
    sky: tuple[float, float, float]
    bounce: tuple[float, float, float]
    spread: float = 0.03


@dataclass(frozen=True)
class World:
    """K objects: solid, half sizes in metres, motion and material of each.

    A material is one for the whole object or six, one for each face ``-x +x -y +y -z +z``.
    """

    kinds: tuple[Kind, ...]
    half_sizes: Float[Tensor, "K 3"]
    motion: Motion
    materials: tuple[Material | tuple[Material, ...], ...]
    light: Light

    def world_from_unit(self, times: Float[Tensor, " N"]) -> Float[Tensor, "N K 4 4"]:
        """The affine maps from the unit solids to the world at ``times`` (seconds)."""
        ones = torch.ones_like(self.half_sizes[:, :1])
        scale = torch.cat([self.half_sizes, ones], dim=1).to(times)
        return self.motion(times) * scale[:, None, :]

    def at(
        self, instance: Int[Tensor, " M"], material: Float[Tensor, "M 3"], time: Float[Tensor, ""]
    ) -> Float[Tensor, "M 3"]:
        """World positions at ``time`` of the points ``material`` [M, 3] of objects ``instance``."""
        place = self.world_from_unit(time[None])[0].to(material)[instance]
        return (place[:, :3, :3] @ material[:, :, None])[:, :, 0] + place[:, :3, 3]

    def moves(self, times: Float[Tensor, " N"], tolerance: float = 1e-4) -> Bool[Tensor, " K"]:
        """Which objects have a point that moves by more than ``tolerance`` metres over ``times``.

        Read off the motion itself: the corners of the bounding box bound every point's travel.
        """
        signs = torch.tensor([-1.0, 1.0]).to(times)
        corners = torch.cartesian_prod(signs, signs, signs)
        place = self.world_from_unit(times)
        position = corners @ place[:, :, :3, :3].mT + place[:, :, None, :3, 3]
        travel = (position - position[:1]).norm(dim=-1)
        return travel.amax(dim=(0, 2)) > tolerance
