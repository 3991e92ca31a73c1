"""Which slot is what: the same for all worlds of a mix.

Slots: room, ground and (where the mix has hills) terrain; then the furniture, five boxes each; then
the figures, six parts each; then the single solids. The objects are the same things counted once
each: furniture, figures, solids.
"""

from dataclasses import dataclass

from worldline.synth.generator.mix import Mix
from worldline.synth.shapes import Kind

SOLIDS = (Kind.BOX, Kind.BALL, Kind.CYLINDER, Kind.CONE, Kind.TORUS, Kind.BLEND, Kind.BODY)
PIECES = 5  # of furniture
LIMBS = (Kind.CYLINDER,) * 4
FIGURES = (
    (Kind.BOX, Kind.BALL, *LIMBS),
    (Kind.BALL, Kind.BALL, *LIMBS),
    (Kind.BOX, Kind.BOX, *LIMBS),
)
PARTS = 6  # of a figure: its trunk, its head, four limbs


@dataclass(frozen=True)
class Layout:
    """The slots of a mix."""

    furniture: int
    figures: int
    solids: tuple[Kind, ...]
    hills: bool

    @classmethod
    def of(cls, mix: Mix) -> "Layout":
        """The slots that ``mix`` needs."""
        solids = [
            kind for kind, count in zip(SOLIDS, mix.solids, strict=True) for _ in range(count)
        ]
        return cls(mix.furniture, mix.figures, tuple(solids), mix.terrain > 0)

    @property
    def backdrops(self) -> tuple[Kind, ...]:
        """Room and ground always have a slot, terrain where the mix has hills."""
        return (Kind.ROOM, Kind.GROUND, *([Kind.TERRAIN] if self.hills else []))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of all K slots."""
        figures = [kind for g in range(self.figures) for kind in FIGURES[g % len(FIGURES)]]
        return (*self.backdrops, *[Kind.BOX] * PIECES * self.furniture, *figures, *self.solids)

    @property
    def objects(self) -> int:
        """O: how many things there can be."""
        return self.furniture + self.figures + len(self.solids)

    @property
    def owner(self) -> list[int]:
        """The object of each slot after the backdrops."""
        furniture = [o for o in range(self.furniture) for _ in range(PIECES)]
        figures = [self.furniture + g for g in range(self.figures) for _ in range(PARTS)]
        return furniture + figures + list(range(self.furniture + self.figures, self.objects))

    def which(self, *kinds: Kind) -> list[int]:
        """The solids (by their place among the solids) of some kinds."""
        return [p for p, kind in enumerate(self.solids) if kind in kinds]
