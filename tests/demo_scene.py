"""The demo clip's exact truth as a Scene, small; the figure that walks in it may be red."""

import dataclasses
from typing import ClassVar

import numpy as np

from worldline.scene import Cameras, Motion, Scene
from worldline.scene.motion import look_up
from worldline.synth.demo import DemoTruth, demo_truth
from worldline.synth.demo.clip import SUNS, as_sensed
from worldline.synth.demo.stage import demo_cameras, demo_world
from worldline.synth.render import render

SIZE = (160, 90)
RED = (255, 0, 0)


@dataclasses.dataclass(frozen=True, eq=False)
class TruthField:
    """The world's own motion, at whole frames."""

    truth: DemoTruth
    kind: ClassVar[str] = "truth"

    def query(self, source: int, at: np.ndarray, pixels: np.ndarray | None = None) -> Motion:
        moved = [self.truth.displacement(source, int(j)) for j in at]
        if pixels is not None:
            moved = [look_up(one, pixels) for one in moved]
        displacement = np.stack(moved).astype(np.float32)
        return Motion(displacement, np.ones(displacement.shape[:-1], np.float32))

    def arrays(self) -> dict[str, np.ndarray]:
        return {}


def demo_scene(stride: int = 6, size: tuple[int, int] = SIZE, *, paint: bool = False) -> Scene:
    """Every `stride`-th frame; `paint` makes the walking figure red and the rest grey."""
    indices = list(range(0, 48, stride))
    truth = demo_truth(indices, size)
    intrinsics = np.tile(truth.intrinsics, (len(truth), 1, 1))
    still = np.zeros(len(truth))
    frames = _frames(indices, size)
    if paint:
        frames = np.repeat(frames.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)
        walks = truth.dynamic[0] & (np.arange(size[0]) > size[0] / 2)  # the cart starts at the left
        frames[np.isin(truth.instance, np.unique(truth.instance[0][walks]))] = RED
    return Scene(
        frames=frames,
        times=truth.times,
        cameras=Cameras(truth.world_from_camera, intrinsics, still == 0, still),
        depth=truth.depth.astype(np.float32),
        confidence=np.linspace(0.5, 1.5, truth.depth.size, dtype=np.float32).reshape(
            truth.depth.shape
        ),
        dynamic=truth.dynamic.astype(np.float32),
        motion=TruthField(truth),
        original_size=size,
        metric=True,
        provenance={"source": "demo"},
    )


def _frames(indices: list[int], size: tuple[int, int]) -> np.ndarray:
    cameras = demo_cameras(size).frames(indices)
    rgb = render(demo_world(), cameras, samples=2, suns=SUNS).rgb
    assert rgb is not None
    return np.stack([as_sensed(one.numpy(), seed=i) for i, one in enumerate(rgb[0])])
