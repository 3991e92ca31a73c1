"""What random worlds are made of, as plain numbers, and the mixes that have names."""

from dataclasses import dataclass, replace

Range = tuple[float, float]
Weights = tuple[tuple[str, float], ...]

EVERY_CAMERA: Weights = (
    ("handheld", 3.0),
    ("dolly", 2.0),
    ("orbit", 2.0),
    ("pan", 1.0),
    ("drone", 1.5),
    ("car", 1.0),
    ("static", 0.7),
    ("rotation", 0.7),
    ("loop", 0.6),
)


@dataclass(frozen=True)
class Mix:
    """A distribution of worlds and cameras. Shares are in [0, 1], ranges are drawn once a world.

    The slots (``solids``, ``figures``, ``furniture``) are the most that any world of the mix can
    have of each; ``objects`` is how many it has. The same mix always has the same slots.
    """

    # where
    indoor: float = 0.5  # worlds in a room; the others stand on open ground
    tabletop: float = 0.25  # of those in a room: small things on a table
    terrain: float = 0.4  # of those outdoors: hills instead of a plane
    # what
    solids: tuple[int, int, int, int, int, int, int] = (8, 6, 5, 4, 3, 3, 4)
    """Slots of boxes, balls, cylinders, cones, tori, blends, bodies."""
    figures: int = 3  # slots of articulated things: walkers, carts, arms, swings, mills
    furniture: int = 4  # slots of tables, shelves, steps, benches, walls: never move
    objects: tuple[int, int] = (4, 40)
    size: Range = (0.05, 0.2)  # of an object, of the world's scale; many objects are smaller
    floating: float = 0.12  # of the solids: hang in the air
    # how it moves
    moving: Range = (0.25, 0.9)  # share of the objects
    resting: float = 0.3  # of what travels: rests first, starts later, stops
    speed: Range = (0.4, 1.4)  # 1: through a fifth of the world's scale in a second
    # how it looks
    plain: Range = (0.0, 0.5)  # share of the surfaces with next to no texture
    glossy: float = 0.35  # share of the objects that shine
    lamps: float = 0.3  # share of the rooms that lamps light, too
    foggy: float = 0.2  # share of the open places in fog or haze
    # who looks
    cameras: Weights = EVERY_CAMERA
    fov: Range = (35.0, 110.0)  # degrees, horizontal
    zoom: float = 0.15  # cameras that zoom
    reach: Range = (0.3, 1.2)  # how far a camera goes, of the usual for its kind
    distance: Range = (0.7, 1.7)  # to what it looks at, of the world's scale
    fill: float = 0.4  # of the picture: cameras look for so much that moves, more is no gain


TRAIN = Mix()
PRIMITIVES = replace(TRAIN, terrain=0.0, solids=(11, 8, 6, 4, 0, 0, 0))
RIGID = replace(TRAIN, solids=(10, 8, 6, 4, 4, 4, 0), figures=0, moving=(0.25, 0.6))

MIXES: dict[str, Mix] = {
    "train": TRAIN,
    "primitives": PRIMITIVES,
    "static": replace(TRAIN, moving=(0.0, 0.0)),
    "rigid": RIGID,
    "articulated": replace(
        TRAIN, solids=(6, 4, 3, 2, 0, 0, 0), figures=6, objects=(6, 20), moving=(0.4, 0.8)
    ),
    "nonrigid": replace(
        TRAIN,
        solids=(3, 2, 2, 1, 0, 2, 8),
        figures=0,
        objects=(6, 16),
        moving=(0.6, 1.0),
        size=(0.1, 0.25),
    ),
    "mostly-dynamic": replace(
        TRAIN,
        solids=(8, 8, 4, 3, 3, 2, 4),
        furniture=1,
        objects=(20, 36),
        moving=(1.0, 1.0),
        size=(0.32, 0.5),
        floating=0.6,
        distance=(0.35, 0.7),
        fill=2.0,
    ),
    "fast": replace(RIGID, moving=(0.4, 0.8), speed=(2.5, 4.0), reach=(1.0, 1.8)),
    "low-texture": replace(TRAIN, plain=(0.85, 1.0)),
    "long": replace(TRAIN, cameras=(("handheld", 2.0), ("orbit", 1.0), ("drone", 1.0))),
    "loop": replace(TRAIN, moving=(0.1, 0.3), cameras=(("loop", 1.0),), reach=(0.8, 1.4)),
}
"""The named mixes: what networks train on, analytic solids only, and the benchmark's classes."""
