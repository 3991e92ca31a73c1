"""Templates of what is made of several parts: furniture of five boxes, figures of six solids.

All are as high as 1 (figures) or in metres (furniture), stand on z = 0 and look along x.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# centre and half size of five boxes each
_TABLE = [((0.0, 0.0, 0.73), (0.7, 0.4, 0.02))] + [
    ((x, y, 0.355), (0.025, 0.025, 0.355)) for x in (-0.64, 0.64) for y in (-0.34, 0.34)
]
_SHELF = [
    ((0.0, -0.5, 0.85), (0.16, 0.015, 0.85)),
    ((0.0, 0.5, 0.85), (0.16, 0.015, 0.85)),
    *[((0.0, 0.0, z), (0.16, 0.485, 0.015)) for z in (0.12, 0.75, 1.4)],
]
_STEPS = [((0.28 * i, 0.0, 0.09 * (i + 1)), (0.14, 0.6, 0.09 * (i + 1))) for i in range(5)]
_BENCH = [
    ((0.0, 0.0, 0.42), (0.28, 0.75, 0.04)),
    ((-0.27, 0.0, 0.72), (0.03, 0.75, 0.26)),
    ((0.0, -0.68, 0.19), (0.24, 0.05, 0.19)),
    ((0.0, 0.68, 0.19), (0.24, 0.05, 0.19)),
    ((-0.05, 0.2, 0.56), (0.16, 0.2, 0.1)),
]
_CRATES = [
    ((0.0, -0.33, 0.3), (0.3, 0.3, 0.3)),
    ((0.02, 0.36, 0.25), (0.25, 0.25, 0.25)),
    ((0.0, -0.1, 0.8), (0.22, 0.24, 0.2)),
    ((0.55, 0.1, 0.15), (0.15, 0.2, 0.15)),
    ((0.02, 0.42, 0.58), (0.1, 0.14, 0.08)),
]
_ARCH = [
    ((0.0, -0.9, 0.9), (0.16, 0.16, 0.9)),
    ((0.0, 0.9, 0.9), (0.16, 0.16, 0.9)),
    ((0.0, 0.0, 1.9), (0.2, 1.15, 0.1)),
    ((0.0, -0.9, 0.06), (0.24, 0.24, 0.06)),
    ((0.0, 0.9, 0.06), (0.24, 0.24, 0.06)),
]
_HOUSE = [
    ((0.0, 0.0, 0.9), (0.7, 0.9, 0.9)),
    ((0.0, 0.0, 1.84), (0.8, 1.0, 0.05)),
    ((0.1, -0.4, 2.2), (0.4, 0.4, 0.32)),
    ((0.72, 0.3, 0.45), (0.03, 0.2, 0.45)),
    ((0.0, 1.3, 0.5), (0.5, 0.4, 0.5)),
]
_WALL = [
    ((0.0, -0.8, 0.5), (0.08, 0.7, 0.5)),
    ((0.0, 0.9, 0.4), (0.08, 0.6, 0.4)),
    ((0.0, -1.55, 0.6), (0.13, 0.13, 0.6)),
    ((0.0, 0.0, 0.55), (0.13, 0.13, 0.55)),
    ((0.0, 1.55, 0.5), (0.13, 0.13, 0.5)),
]
FURNITURE = torch.tensor(
    [_TABLE, _SHELF, _STEPS, _BENCH, _CRATES, _ARCH, _HOUSE, _WALL], dtype=torch.float64
)  # [V, 5, (centre, half), 3]
TABLE = 0
DEPTH = (FURNITURE[:, :, 0, 0].abs() + FURNITURE[:, :, 1, 0]).amax(dim=1)
BREADTH = (
    FURNITURE[:, :, :, :2].abs().sum(dim=2).norm(dim=-1).amax(dim=1)
)  # of centre and half size
TOP = 0.4  # m: half the depth of a table
INDOORS = (3.0, 3.0, 1.5, 2.5, 1.5, 0.3, 0.0, 0.0)
OUTDOORS = (0.5, 0.0, 1.5, 1.5, 2.0, 2.0, 3.0, 2.0)


@dataclass(frozen=True)
class Part:
    """A solid on a joint: where the joint is on its parent's, and how it moves when it moves.

    ``drop`` is where the solid's middle is below the joint; ``upright`` turns the joint's z axis
    (about x, by a right angle); ``sway`` is (axis, amplitude in rad, phase), ``wheel`` the axis of
    a spin, or -1.
    """

    half: tuple[float, float, float]
    at: tuple[float, float, float]
    parent: int = 0
    drop: float = 0.0
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sway: tuple[int, float, float] = (1, 0.0, 0.0)
    wheel: int = -1


_RIGHT, _PI = 0.5 * torch.pi, torch.pi
_PERSON = [
    Part((0.09, 0.14, 0.2), (0.0, 0.0, 0.62), sway=(2, 0.08, 0.0)),
    Part((0.08, 0.075, 0.1), (0.0, 0.0, 0.31), sway=(2, 0.3, 1.0)),
    *[
        Part((0.045, 0.045, 0.17), (0.0, side * 0.19, 0.17), 0, 0.17, sway=(1, 0.55, phase))
        for side, phase in ((-1, 0.0), (1, _PI))
    ],
    *[
        Part((0.06, 0.06, 0.215), (0.0, side * 0.08, -0.19), 0, 0.215, sway=(1, 0.5, phase))
        for side, phase in ((-1, _PI), (1, 0.0))
    ],
]
_BEAST = [
    Part((0.5, 0.2, 0.2), (0.0, 0.0, 0.72), sway=(0, 0.05, 0.0)),
    Part((0.2, 0.14, 0.16), (0.62, 0.0, 0.26), sway=(1, 0.3, 0.5)),
    *[
        Part((0.07, 0.07, 0.29), (x, y, -0.14), 0, 0.29, sway=(1, 0.45, phase))
        for x, y, phase in ((0.38, 0.13, 0.0), (0.38, -0.13, _PI), (-0.38, 0.13, _PI),
                            (-0.38, -0.13, 0.0))
    ],
]  # fmt: skip
_CART = [
    Part((0.95, 0.45, 0.26), (0.0, 0.0, 0.5)),
    Part((0.5, 0.38, 0.3), (-0.15, 0.0, 0.2)),
    *[
        Part((0.26, 0.26, 0.09), (x, y, -0.24), turn=(_RIGHT, 0.0, 0.0), wheel=2)
        for x in (-0.58, 0.58)
        for y in (-0.46, 0.46)
    ],
]
_ARM = [
    Part((0.22, 0.22, 0.08), (0.0, 0.0, 0.08), sway=(2, 1.0, 0.3)),
    Part((0.11, 0.11, 0.11), (0.0, 0.0, 0.42), 2),
    Part((0.07, 0.07, 0.2), (0.0, 0.0, 0.1), 0, -0.2, sway=(1, 0.5, 0.0)),
    Part((0.055, 0.055, 0.2), (0.0, 0.0, 0.42), 2, -0.2, (0.0, 0.8, 0.0), (1, 0.7, 0.9)),
    Part((0.03, 0.03, 0.08), (0.0, -0.03, 0.4), 3, -0.08, (0.3, 0.0, 0.0), (0, 0.25, 0.0)),
    Part((0.03, 0.03, 0.08), (0.0, 0.03, 0.4), 3, -0.08, (-0.3, 0.0, 0.0), (0, 0.25, _PI)),
]
_SWING = [
    Part((0.05, 0.55, 0.04), (0.0, 0.0, 0.96)),
    Part((0.13, 0.13, 0.13), (0.0, 0.0, -0.6), 4),
    Part((0.04, 0.04, 0.46), (0.0, -0.5, 0.0), 0, 0.5),
    Part((0.04, 0.04, 0.46), (0.0, 0.5, 0.0), 0, 0.5),
    Part((0.015, 0.015, 0.3), (0.0, 0.0, 0.0), 0, 0.3, sway=(1, 0.75, 0.0)),
    Part((0.03, 0.18, 0.02), (0.0, 0.0, -0.6), 4),
]
_MILL = [
    Part((0.07, 0.07, 0.36), (0.0, 0.0, 0.36)),
    Part((0.06, 0.06, 0.06), (0.12, 0.0, 0.3), wheel=0),
    *[
        Part((0.03, 0.05, 0.17), (0.0, 0.0, 0.0), 1, -0.17, (k * _RIGHT, 0.0, 0.0))
        for k in range(4)
    ],
]
_FIGURES = [_PERSON, _BEAST, _CART, _ARM, _SWING, _MILL]
TRAVELS = torch.tensor([True, True, True, False, False, False])
FIGURE_WEIGHTS = (3.0, 2.0, 2.0, 1.0, 1.0, 1.0)
WIDTH = torch.tensor([0.28, 0.85, 1.0, 0.6, 0.62, 0.4]).double()  # radius on the floor
LEG = torch.tensor([0.43, 0.58, 0.26, 1.0, 1.0, 1.0]).double()  # or the radius of its wheels


def _table(value: str) -> Tensor:
    rows = [[getattr(part, value) for part in figure] for figure in _FIGURES]
    made = torch.tensor(rows)
    return made.double() if made.is_floating_point() else made


HALF, AT, PARENT, DROP = _table("half"), _table("at"), _table("parent"), _table("drop")
TURNED, SWAY, WHEEL = _table("turn"), _table("sway"), _table("wheel")
