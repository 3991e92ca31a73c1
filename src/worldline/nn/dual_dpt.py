"""The Dual-DPT head of Depth Anything 3: depth and rays from the same levels of tokens.

Both share the levels; each refines them by a chain of its own. Depth is read off at the images'
resolution, rays at eight times the patch grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from worldline.nn.activations import confidence
from worldline.nn.chunking import in_batches
from worldline.nn.dpt import READ_OFF, Dpt, DptConfig, add_position

RAY = 7  # direction, origin, and how sure they are


@dataclass(frozen=True)
class Geometry:
    """What the head says of B x S frames.

    depth: z-depth. ray: direction (not of unit length), then origin, so that a point is
    origin + depth * direction. Confidences are 1 + exp; larger is surer.
    coarse: (ray, confidence) of the three coarser levels, coarsest first, where asked for.
    """

    depth: Float[Tensor, "B S H W"]
    depth_confidence: Float[Tensor, "B S H W"]
    ray: Float[Tensor, "B S h w 6"]
    ray_confidence: Float[Tensor, "B S h w"]
    coarse: list[tuple[Tensor, Tensor]]


class Permute(nn.Module):
    """Moves axes, between the layers of a sequence."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        """A view."""
        return x.permute(self.axes)


class DualDpt(Dpt):
    """A DPT of two outputs, depth and its confidence, with a second chain for rays."""

    def __init__(self, config: DptConfig) -> None:
        super().__init__(replace(config, outputs=2))
        self.scratch.add_chain("_aux", config)
        wide, narrow = config.features, config.features // 2
        norm = nn.LayerNorm(READ_OFF)  # one for all four levels, as published
        self.scratch.output_conv1_aux = nn.ModuleList(
            nn.Sequential(
                *(
                    nn.Conv2d(*((wide, narrow) if i % 2 == 0 else (narrow, wide)), 3, padding=1)
                    for i in range(5)
                )
            )
            for _ in range(4)
        )
        self.scratch.output_conv2_aux = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(narrow, READ_OFF, 3, padding=1),
                Permute(0, 2, 3, 1),
                norm,
                Permute(0, 3, 1, 2),
                nn.ReLU(),
                nn.Conv2d(READ_OFF, RAY, 1),
            )
            for _ in range(4)
        )

    def geometry(
        self,
        maps: Sequence[Float[Tensor, "B S _ h w"]],
        size: tuple[int, int],
        *,
        chunk: int | None = None,
        coarse: bool = False,
    ) -> Geometry:
        """Depth and rays of all frames from projected levels, `chunk` frames at a time.

        None: as many as pay on the device.
        """
        chunk = chunk or self.at_once(maps[0], size)
        batch, frames = maps[0].shape[:2]
        flat = [level.flatten(0, 1) for level in maps]

        def of_part(part: slice) -> tuple[Tensor, list[Tensor]]:
            levels = self.pyramid([level[part] for level in flat], size)
            rays = self._rays(self.scratch.fuse(levels, "_aux"), size, coarse)
            fused = self.scratch.output_conv1(self.scratch.fuse(levels)[-1])
            return self.read(fused, size), rays

        parts = [result for _, result in in_batches(of_part, batch * frames, chunk, "frames")]
        depth = torch.cat([depth for depth, _ in parts]).unflatten(0, (batch, frames))
        rays = [
            torch.cat(level).movedim(1, -1).unflatten(0, (batch, frames))
            for level in zip(*(rays for _, rays in parts), strict=True)
        ]
        *coarser, finest = ((ray[..., :6], confidence(ray[..., 6])) for ray in rays)
        return Geometry(depth[:, :, 0].exp(), confidence(depth[:, :, 1]), *finest, coarser)

    def _rays(
        self, fused: Sequence[Float[Tensor, "B F _h _w"]], size: tuple[int, int], coarse: bool
    ) -> list[Float[Tensor, "B 7 _h _w"]]:
        """Rays read off the refined maps: of all four, or of the finest alone."""
        neck, last = self.scratch.output_conv1_aux, self.scratch.output_conv2_aux
        levels = list(zip(neck, last, fused, strict=True))  # type: ignore[arg-type]
        return [last(add_position(neck(x), size)) for neck, last, x in levels[0 if coarse else 3 :]]
