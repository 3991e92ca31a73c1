"""The exact truth of the demo clip, cast anew from the world's code whenever it is asked for."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from worldline.errors import InputError
from worldline.synth.demo.stage import FRAMES, SIZE, demo_cameras, demo_world
from worldline.synth.render import render


@dataclasses.dataclass(frozen=True)
class DemoTruth:
    """What is true of N frames of a synthetic clip, in metres; the world is the first camera.

    ``depth`` is z-depth at pixel centres, ``dynamic`` says whether a pixel's object moves at any
    time in the clip, ``world_from_camera`` are rigid OpenCV cameras relative to the clip's first
    frame (whichever frames are held), ``times`` are seconds. ``instance`` and ``material`` name
    the surface point that each pixel sees (see ``World.at``), ``world_from_object`` places the
    objects' own metres.
    """

    depth: Float[np.ndarray, "N H W"]
    dynamic: Bool[np.ndarray, "N H W"]
    world_from_camera: Float[np.ndarray, "N 4 4"]
    intrinsics: Float[np.ndarray, "3 3"]
    times: Float[np.ndarray, " N"]
    instance: Int[np.ndarray, "N H W"]
    material: Float[np.ndarray, "N H W 3"]
    world_from_object: Float[np.ndarray, "N K 4 4"]

    def __len__(self) -> int:
        return len(self.times)

    def pointmap(self, i: int, at: int | None = None) -> Float[np.ndarray, "H W 3"]:
        """World positions of the points seen in frame ``i``, at the time of frame ``at`` (or i).

        Indices count the frames held here. Exact up to float32 rounding of ``material``.
        """
        place = self.world_from_object[i if at is None else at][self.instance[i]]
        material = self.material[i].astype(np.float64)
        return np.einsum("hwij,hwj->hwi", place[..., :3, :3], material) + place[..., :3, 3]

    def displacement(self, i: int, at: int) -> Float[np.ndarray, "H W 3"]:
        """How far the points seen in frame ``i`` move until frame ``at``; zero where static."""
        return self.pointmap(i, at) - self.pointmap(i)


def demo_truth(
    frame_indices: Sequence[int] | None = None, size: tuple[int, int] = SIZE
) -> DemoTruth:
    """Casts the truth of the demo clip's frames (all of them by default).

    ``size`` is (width, height); other sizes see the same scene with as many rays. All 48 frames at
    the clip's own size take a few seconds and some 150 MB. An index outside the clip raises
    ``InputError``.
    """
    indices = list(range(FRAMES)) if frame_indices is None else [int(i) for i in frame_indices]
    if not indices or min(indices) < 0 or max(indices) >= FRAMES:
        raise InputError(f"The demo clip has frames 0 to {FRAMES - 1}; asked for {indices}.")
    world, cameras = demo_world(), demo_cameras(size)
    moving = world.moves(cameras.times)[0]
    first_from_stage = torch.linalg.inv(cameras.world_from_camera[0, 0])
    cameras = cameras.frames(indices)
    seen = render(world, cameras, colour=False)
    instance = seen.instance[0]
    poses = _relative(first_from_stage, cameras.world_from_camera[0], indices)
    return DemoTruth(
        depth=seen.depth[0].numpy(),
        dynamic=moving[instance].numpy(),
        world_from_camera=poses,
        intrinsics=cameras.intrinsics[0, 0].numpy(),
        times=cameras.times[0].numpy(),
        instance=instance.numpy(),
        material=seen.material[0].numpy(),
        world_from_object=(first_from_stage @ world.place(cameras.times)[0]).numpy(),
    )


def _relative(
    first_from_stage: torch.Tensor, poses: torch.Tensor, indices: list[int]
) -> Float[np.ndarray, "N 4 4"]:
    relative = first_from_stage @ poses
    first = torch.tensor(indices) == 0
    relative[first] = torch.eye(4, dtype=poses.dtype)  # exactly, without the product's rounding
    return relative.numpy()
