"""Rendered clips, with their exact truth, of what classical reconstruction finds hard.

World axes are the first camera's (OpenCV: x right, y down, z forward), lengths are metres.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from worldline.io.clip import Clip
from worldline.synth.camera import Cameras
from worldline.synth.demo.clip import as_sensed
from worldline.synth.materials import Material, Painted
from worldline.synth.motion import Curves, Joints, rest, stack
from worldline.synth.render import render
from worldline.synth.shapes import Kind
from worldline.synth.world import Light, World

SIZE = (320, 192)  # width, height
FOCAL = 280.0

# Even light without a sun: nothing throws a shadow, so only movers move.
EVEN = Light.of((0.1, 0.0, 1.0), (0.0, 0.0, 0.0), (0.9, 0.9, 0.9), (0.9, 0.9, 0.9))


def coat(number: int, grain: float = 0.5, size: float = 0.5) -> Material:
    """A mottled texture, never the same one twice."""
    tints = ((0.75, 0.66, 0.5), (0.6, 0.3, 0.2), (0.3, 0.5, 0.45), (0.7, 0.6, 0.2))
    first = tints[number % len(tints)]
    second = tuple(0.15 * level for level in first[::-1])
    return Material("mottled", first, second, (size, size), grain, 7.1 * number)


@dataclass(frozen=True)
class Solid:
    """A box or a ball that goes `velocity` metres a frame."""

    at: tuple[float, float, float]
    half: tuple[float, float, float]
    material: Material
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    kind: Kind = Kind.BOX


WALL = Solid((0.0, 0.0, 9.0), (12.0, 8.0, 0.5), coat(0, size=0.9))
FLOOR = Solid((0.0, 1.9, 5.0), (12.0, 0.5, 8.0), coat(1, size=0.7))
COURT = (  # its wall is more than half of the picture
    WALL,
    FLOOR,
    Solid((-2.3, 0.5, 6.0), (0.5, 0.9, 0.5), coat(2)),
    Solid((1.1, 0.9, 7.0), (0.8, 0.5, 0.5), coat(3)),
    Solid((2.6, 0.2, 5.2), (0.4, 1.2, 0.4), coat(4)),
    Solid((-0.9, 1.0, 4.2), (0.4, 0.4, 0.4), coat(6)),
)
CORRIDOR = (  # no plane of it is half of the picture
    Solid((0.0, 0.0, 13.0), (12.0, 8.0, 0.5), coat(0, size=0.9)),
    Solid((-3.2, 0.0, 6.0), (0.5, 8.0, 7.0), coat(7)),
    Solid((3.4, 0.0, 6.0), (0.5, 8.0, 7.0), coat(8)),
    FLOOR,
    Solid((-0.9, 0.9, 4.5), (0.4, 0.5, 0.4), coat(6, size=0.3)),
    Solid((0.9, 0.5, 6.0), (0.4, 0.9, 0.4), coat(4, size=0.3)),
)
BALL = Solid((-1.6, 0.1, 4.5), (0.55, 0.6, 0.5), coat(5, size=0.3), (0.18, -0.02, 0.0), Kind.BALL)


def balloon(size: float) -> Solid:
    """A ball in the middle that goes its own way: 0.9 covers a quarter of a picture, 1.7 most."""
    half = (1.35 * size, 0.8 * size, 0.8)
    return Solid((-0.1, -0.05, 4.2), half, coat(5, size=0.3), (0.07, -0.035, 0.0), Kind.BALL)


@dataclass(frozen=True)
class Film:
    """Frames and the truth behind them; `intrinsics` are of the first frame."""

    frames: np.ndarray
    depth: np.ndarray
    moving: np.ndarray
    world_from_camera: np.ndarray
    intrinsics: np.ndarray

    def clip(self, known: bool = True) -> Clip:
        """What a system is given; `known` says whether with the intrinsics."""
        count, height, width = self.depth.shape
        return Clip(
            frames=self.frames,
            times=np.arange(count) / 10.0,
            source="degenerate",
            fingerprint="0" * 64,
            original_size=(width, height),
            total=count,
            intrinsics=self.intrinsics if known else None,
            intrinsics_source="given" if known else "unknown",
            distortion=None,
            is_video=True,
        )

    def lit(self, gain: np.ndarray) -> "Film":
        """The same film with its grey levels multiplied, by [N, 1 or H, 1, 1]."""
        levels = np.rint(self.frames * gain).clip(0, 255)
        return replace(self, frames=levels.astype(np.uint8))


def film(solids: tuple[Solid, ...], poses: np.ndarray, focal: np.ndarray | float = FOCAL) -> Film:
    """Render solids from given cameras; `focal` is one for all frames or one for each."""
    curves = stack([rest(solid.at).push(solid.velocity) for solid in solids])
    world = World(
        tuple(solid.kind for solid in solids),
        torch.tensor([[solid.half for solid in solids]], dtype=torch.float64),
        torch.ones(1, len(solids), dtype=torch.bool),
        Joints.of(Curves(*(x[None] for x in curves))),
        Painted(tuple(solid.material for solid in solids)),
        EVEN,
    )
    times = torch.arange(len(poses), dtype=torch.float64)[None]
    moves = world.moves(times)[0].numpy()
    lenses = torch.stack([_lens(lens) for lens in np.broadcast_to(focal, len(poses))])
    seen = render(world, Cameras(torch.from_numpy(poses)[None], lenses[None], SIZE, times))
    instance = seen.instance[0].numpy()
    return Film(
        np.stack([as_sensed(picture.numpy(), seed=i) for i, picture in enumerate(seen.rgb[0])]),
        seen.depth[0].numpy(),
        moves[instance] & (instance >= 0),
        poses,
        lenses[0].numpy(),
    )


def _lens(focal: float) -> torch.Tensor:
    rows = [[focal, 0.0, SIZE[0] / 2], [0.0, focal, SIZE[1] / 2], [0.0, 0.0, 1.0]]
    return torch.tensor(rows, dtype=torch.float64)


def path(count: int, travel=(0.0, 0.0, 0.0), pan: float = 0.0, tilt: float = 0.0) -> np.ndarray:
    """Cameras that go `travel` metres and turn by degrees, over the clip, from the identity.

    The way is bent a little, so that it is no straight line.
    """
    s = np.linspace(0.0, 1.0, count)
    poses = np.tile(np.eye(4), (count, 1, 1))
    turn = np.stack([tilt * np.sin(2.5 * s) / np.sin(2.5), pan * s], axis=-1)
    poses[:, :3, :3] = Rotation.from_euler("xy", turn, degrees=True).as_matrix()
    poses[:, :3, 3] = s[:, None] * np.array(travel)
    poses[:, 1, 3] += 0.1 * np.linalg.norm(travel) * np.sin(np.pi * s)
    return poses
