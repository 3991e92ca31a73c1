"""Reads a DPT at chosen pixels, doing the work of the last stages around them alone.

Up to the finest fusion maps are small and are made whole. From there on a pixel depends on a few
cells around it: windows of cells are cut out, refined as if they were images, and read where the
cut cannot be felt. Where a window ends at the image's border its padding is the image's own, so
the answer is that of the dense head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from worldline.nn.dpt import Dpt, position_table

REACH = 5  # cells that the five 3x3 convolutions before the enlargement look to each side
CORES = (4, 8, 16, 32)  # cells of a window that are read; the cheapest is taken


@dataclass(frozen=True)
class Axis:
    """One axis of the plan: windows of `width` cells, and which a pixel is read from.

    cells, fine, pixels: lengths of the finest level, of its enlargement, and of the image.
    """

    cells: int
    fine: int
    pixels: int
    low: Int[Tensor, " M"]  # the first and the last cell that each pixel depends on,
    high: Int[Tensor, " M"]  # but for the convolutions' reach

    @staticmethod
    def of(pixel: Int[Tensor, " M"], cells: int, pixels: int) -> "Axis":
        """What the pixels at these rows (or columns) depend on."""
        fine = 2 * cells
        up, step = (cells - 1) / (fine - 1), (fine - 1) / max(pixels - 1, 1)
        first = ((pixel - 1) * step).floor() - 2  # a neighbour's, a 3x3's, and rounding
        last = ((pixel + 1) * step).floor() + 3
        low = (first * up).floor().clamp(0, cells - 1).long()
        high = (last * up).floor().add(1).clamp(0, cells - 1).long()
        return Axis(cells, fine, pixels, low, high)

    def width(self, core: int) -> int:
        """Cells of a window whose core is `core`."""
        return core + int((self.high - self.low).max()) + 2 * REACH

    def starts(self, core: int) -> Int[Tensor, " M"]:
        """The first cell of each pixel's window."""
        return (self.low // core * core - REACH).clamp(0, max(self.cells - self.width(core), 0))


def read_pixels(
    head: Dpt,
    maps: Sequence[Float[Tensor, "B _ h w"]],
    size: tuple[int, int],
    pixels: Float[Tensor, "M 2"],
) -> Float[Tensor, "B M outputs"]:
    """What `head.read(head.fuse(maps, size), size)` holds at integer `pixels` (x, y).

    Dense work is done instead where windows would cover more than the whole.
    """
    column, row = pixels.round().long().unbind(-1)
    rows, columns = (4 * side for side in maps[0].shape[-2:])
    y, x = Axis.of(row, rows, size[0]), Axis.of(column, columns, size[1])
    core, area = _cheapest(y, x)
    if area >= rows * columns:
        return head.read(head.fuse(maps, size), size)[:, :, row, column].transpose(1, 2)
    starts, window = torch.unique(
        torch.stack([y.starts(core), x.starts(core)], dim=-1), dim=0, return_inverse=True
    )
    refined, corner = _refined(head, maps, size, starts, (y, x), core)
    patch = _neighbourhoods(head, refined, size, (row, column), window, corner, (y, x))
    first, _, last = cast(list[nn.Conv2d], head.scratch.output_conv2)
    hidden = F.relu(F.linear(patch, first.weight.flatten(1), first.bias))
    return F.linear(hidden, last.weight.flatten(1), last.bias)


def _cheapest(y: Axis, x: Axis) -> tuple[int, int]:
    """The core whose windows hold the fewest cells, and how many that are."""

    def area(core: int) -> int:
        height, width = y.width(core), x.width(core)
        if height > y.cells or width > x.cells:
            return y.cells * x.cells
        starts = torch.stack([y.starts(core), x.starts(core)], dim=-1)
        return len(torch.unique(starts, dim=0)) * height * width

    return min(((core, area(core)) for core in CORES), key=lambda pair: pair[1])


def _refined(
    head: Dpt,
    maps: Sequence[Float[Tensor, "B _ h w"]],
    size: tuple[int, int],
    starts: Int[Tensor, "W 2"],
    axes: tuple[Axis, Axis],
    core: int,
) -> tuple[Float[Tensor, "B W F fy fx"], Int[Tensor, "W 2"]]:
    """The enlarged and refined windows, and where their first rows and columns lie in the whole."""
    scratch, batch = head.scratch, maps[0].shape[0]
    finest, coarse = head.finest_and_coarser(maps, size)
    level = scratch.get_submodule("layer1_rn")(_cut(finest, starts, axes, core))
    fusion = scratch.fusion(1)
    fused = _cut(coarse, starts, axes, core) + fusion.resConfUnit1(level)
    fused = fusion.out_conv(fusion.resConfUnit2(fused))
    corners = []
    for dim, axis in ((2, axes[0]), (3, axes[1])):
        fused, corner = _enlarged(fused, starts[:, dim - 2], axis, axis.width(core), dim)
        corners.append(corner)
    refined = scratch.output_conv1(fused)
    return refined.unflatten(0, (batch, -1)), torch.stack(corners, dim=-1)


def _cut(
    x: Float[Tensor, "B F h w"], starts: Int[Tensor, "W 2"], axes: tuple[Axis, Axis], core: int
) -> Float[Tensor, "BW F wy wx"]:
    """The windows, those of one map after those of another."""
    height, width = axes[0].width(core), axes[1].width(core)
    row = starts[:, :1] + torch.arange(height, device=x.device)
    column = starts[:, 1:] + torch.arange(width, device=x.device)
    windows = x.movedim(1, -1)[:, row[:, :, None], column[:, None, :]]
    return windows.flatten(0, 1).movedim(-1, 1)


def _enlarged(
    x: Float[Tensor, "BW F wy wx"], starts: Int[Tensor, " W"], axis: Axis, width: int, dim: int
) -> tuple[Float[Tensor, "BW F _fy _fx"], Int[Tensor, " W"]]:
    """Windows at twice the size along one axis, where the whole map's enlargement would put them.

    Also the position of each window's first row in the enlarged map.
    """
    up = (axis.cells - 1) / (axis.fine - 1)
    count = int((width - 1) / up)
    at_end = starts == axis.cells - width  # there it must end where the whole does
    corner = torch.where(at_end, axis.fine - count, (starts / up).ceil().long())
    source = (corner[:, None] + torch.arange(count, device=x.device)) * up
    low = source.floor().clamp(max=axis.cells - 2)
    share = (source - low).to(x.dtype)
    index = (low.long() - starts[:, None]).clamp(0, width - 2)
    shape = [len(index), 1, 1, 1]
    shape[dim] = count
    index, share = index.view(shape), share.view(shape)
    windows = x.unflatten(0, (-1, len(starts)))
    below = windows.take_along_dim(index[None], dim=dim + 1)
    above = windows.take_along_dim(index[None] + 1, dim=dim + 1)
    return torch.lerp(below, above, share).flatten(0, 1), corner


def _neighbourhoods(
    head: Dpt,
    refined: Float[Tensor, "B W F fy fx"],
    size: tuple[int, int],
    pixel: tuple[Int[Tensor, " M"], Int[Tensor, " M"]],
    window: Int[Tensor, " M"],
    corner: Int[Tensor, "W 2"],
    axes: tuple[Axis, Axis],
) -> Float[Tensor, "B M F9"]:
    """What the last 3x3 convolution sees around each pixel, as rows of its weights."""
    channels_last = refined.movedim(2, -1)
    around = torch.tensor([-1, 0, 1], device=refined.device)
    place, inside = [], []
    for i, axis in enumerate(axes):
        at = pixel[i][:, None] + around
        inside.append((at >= 0) & (at < axis.pixels))
        source = at.clamp(0, axis.pixels - 1) * (axis.fine - 1) / max(axis.pixels - 1, 1)
        low = source.floor().clamp(max=axis.fine - 2)
        index = low.long() - corner[window, i][:, None]
        share = (source - low).to(refined.dtype)
        place.append((index.clamp(0, refined.shape[3 + i] - 2), share, at))
    (top, down, at_row), (left, right, at_column) = place
    w, t, le = window[:, None, None], top[:, :, None], left[:, None, :]
    upper = torch.lerp(
        channels_last[:, w, t, le], channels_last[:, w, t, le + 1], right[:, None, :, None]
    )
    lower = torch.lerp(
        channels_last[:, w, t + 1, le], channels_last[:, w, t + 1, le + 1], right[:, None, :, None]
    )
    values = torch.lerp(upper, lower, down[:, :, None, None])  # [B, M, 3, 3, F]
    if head.sizes.position:
        u, v = position_table(values.shape[-1], size, size, refined)
        columns = u.mT[at_column.clamp(0, size[1] - 1)][:, None].expand(-1, 3, -1, -1)
        rows = v.mT[at_row.clamp(0, size[0] - 1)][:, :, None].expand(-1, -1, 3, -1)
        values = values + torch.cat([columns, rows], dim=-1)
    padded = values * (inside[0][:, :, None] & inside[1][:, None, :])[..., None]
    return padded.movedim(-1, 2).flatten(2)
