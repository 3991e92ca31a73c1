"""Synthetic worlds without end, as batches of tensors on the device that trains."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.errors import InputError
from worldline.synth import truth
from worldline.synth.camera import Cameras
from worldline.synth.clips import relative_poses
from worldline.synth.fusion import fusing
from worldline.synth.generator import MIXES, Mix, generate
from worldline.synth.render import Rendering, render
from worldline.synth.sensor import SENSORS, Recording, Sensor, record
from worldline.synth.splits import split_range
from worldline.synth.world import World


@dataclass(frozen=True, eq=False)
class WorldBatch:
    """B clips of N frames with their truth, all on one device; float32 but for the times.

    ``rgb`` is sRGB in [0, 1]; ``depth`` z-depth in metres (inf: nothing is seen); ``instance`` the
    object's slot or -1; ``dynamic`` whether that moves during the clip. ``normals`` (0 where
    nothing is seen) and ``world_from_camera`` are in the axes of each clip's first camera.
    ``distortion`` are OpenCV's k1, k2 of the lenses that ``rgb`` was taken through (0: none); all
    else is the pinhole's. ``world`` and ``cameras`` are what they were made from, in the engine's
    axes (z up).
    """

    seeds: tuple[int, ...]
    rgb: Float[Tensor, "B N H W 3"]
    distortion: Float[Tensor, "B 2"]
    depth: Float[Tensor, "B N H W"]
    normals: Float[Tensor, "B N H W 3"]
    instance: Int[Tensor, "B N H W"]
    dynamic: Bool[Tensor, "B N H W"]
    world_from_camera: Float[Tensor, "B N 4 4"]
    intrinsics: Float[Tensor, "B N 3 3"]
    times: Float[Tensor, "B N"]
    world: World
    cameras: Cameras
    seen: Rendering

    def displacement(self, i: int, times: Float[Tensor, "B T"]) -> Float[Tensor, "B T H W 3"]:
        """How far frame i's points have come at any times, in the first cameras' axes, metres.

        NaN where nothing is seen.
        """
        moved = truth.displacement(self.world, self.cameras, self.seen, i, times)
        axes = self.cameras.world_from_camera[:, 0, :3, :3].to(moved)
        return (moved @ axes[:, None, None]).float()

    def visible(self, i: int, j: int) -> Bool[Tensor, "B H W"]:
        """Whether frame i's points are seen in frame j (by rays)."""
        target = self.cameras.frames([j])
        points = truth.pointmap(self.world, self.seen, i, target.times)[:, 0]
        sees = truth.visible(self.world, target, points.flatten(1, 2))
        return sees[:, 0].unflatten(1, points.shape[1:3])


class SyntheticWorlds:
    """An endless iterator of batches of one split's worlds, in the order of their seeds.

    Batch p of rank r has the seeds ``start + (p * ranks + r) * batch + 0 .. batch - 1`` of the
    split, which start over at its end, so the processes of one training never see the same world
    at a time, and a run that goes on from ``state_dict`` sees what it would have seen.

    Worlds are drawn at random as parameters and rendered where the training is: no picture passes
    through the CPU (but for a sensor's H.264, whose encoder runs there).
    """

    def __init__(  # noqa: PLR0913 # one name for each choice a training has
        self,
        split: str,
        mix: str | Mix = "train",
        *,
        size: tuple[int, int] = (224, 168),
        frames: int = 8,
        batch: int = 4,
        rate: float = 24.0,
        device: torch.device | str = "cpu",
        samples: int = 1,
        sensor: str | Sensor | None = None,
        compiled: bool = False,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """Batches of ``batch`` clips of ``frames`` pictures of ``size`` (width, height).

        ``rate`` is in frames a second; ``samples``² rays make a pixel's colour; ``sensor`` (or its
        name in SENSORS) draws faults of the pictures from each seed. ``compiled`` fuses formulas
        (see ``fusion``): a minute or two at the first batches, then less for each. Raises
        InputError for choices without sense.
        """
        self._seeds = split_range(split)
        if isinstance(mix, str) and mix not in MIXES:
            raise InputError(f"there is no mix {mix!r}; there is: {', '.join(MIXES)}")
        if isinstance(sensor, str) and sensor not in SENSORS:
            raise InputError(f"there is no sensor {sensor!r}; there is: {', '.join(SENSORS)}")
        if min(*size, frames, batch, samples) < 1 or not 0 <= rank < ranks:
            raise InputError(
                f"size {size}, frames {frames}, batch {batch} and samples {samples} must be at "
                f"least 1, and rank {rank} one of {ranks}"
            )
        self._split, self._name = split, str(mix)
        self._mix = MIXES[mix] if isinstance(mix, str) else mix
        self._sensor = SENSORS[sensor] if isinstance(sensor, str) else sensor
        self._batch, self._share = batch, (rank, ranks)
        self._size, self._frames, self._rate = size, frames, float(rate)
        self._samples, self._compiled = samples, compiled
        self._device = torch.device(device)
        self._position = 0

    def __iter__(self) -> Iterator[WorldBatch]:
        return self

    def __next__(self) -> WorldBatch:
        seeds = self._next_seeds()
        world, cameras = generate(
            seeds,
            self._mix,
            size=self._size,
            frames=self._frames,
            rate=self._rate,
            device=self._device,
        )
        self._position += 1
        with fusing(self._compiled):
            return _batch(tuple(seeds), world, cameras, self._taken(world, cameras, seeds))

    def _taken(self, world: World, cameras: Cameras, seeds: list[int]) -> Recording:
        if self._sensor is not None:
            return record(world, cameras, self._sensor, seeds, samples=self._samples)
        seen = render(world, cameras, samples=self._samples)
        return Recording(seen, torch.zeros(len(seeds), 2, device=self._device))

    def state_dict(self) -> dict[str, Any]:
        """How far it has come, and of what: plain values."""
        return {"position": self._position, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there. Raises InputError for the state of other worlds."""
        own, theirs = self._identity(), {k: v for k, v in state.items() if k != "position"}
        if theirs != own:
            raise InputError(f"the state is of {theirs}, these worlds are {own}")
        self._position = int(state["position"])

    def _identity(self) -> dict[str, Any]:
        return {"split": self._split, "mix": self._name, "batch": self._batch}

    def _next_seeds(self) -> list[int]:
        rank, ranks = self._share
        first = (self._position * ranks + rank) * self._batch
        count = len(self._seeds)
        return [self._seeds[(first + k) % count] for k in range(self._batch)]


def _batch(seeds: tuple[int, ...], world: World, cameras: Cameras, taken: Recording) -> WorldBatch:
    """All that is trained on, in the axes of the first cameras."""
    seen = taken.rendering
    assert seen.rgb is not None  # colour is on by default
    axes = cameras.world_from_camera[:, 0, :3, :3].float()
    return WorldBatch(
        seeds=seeds,
        rgb=seen.rgb,
        distortion=taken.distortion,
        depth=seen.depth,
        normals=seen.normal @ axes[:, None, None],
        instance=seen.instance,
        dynamic=truth.dynamic(world, cameras, seen),
        world_from_camera=relative_poses(cameras).float(),
        intrinsics=cameras.intrinsics.float(),
        times=cameras.times,
        world=world,
        cameras=cameras,
        seen=seen,
    )
