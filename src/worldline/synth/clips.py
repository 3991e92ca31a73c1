"""One clip of one synthetic world: frames, all truth, and the Scene that a perfect system makes.

What leaves here is numpy, in the scene's axes: OpenCV's, those of the first frame's camera, in
metres. The engine's own world, with z up, stays inside.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int32, Num, UInt8
from torch import Tensor

from worldline.errors import InputError
from worldline.geometry.projection import invert, transform
from worldline.io.lens import undistort
from worldline.scene import Cameras as SceneCameras
from worldline.scene import Scene
from worldline.scene.cloud import PointCloud
from worldline.scene.timing import At, frame_index, frame_positions
from worldline.scene.tracks import Tracks
from worldline.synth import trees, truth
from worldline.synth.camera import Cameras
from worldline.synth.generator import MIXES, VERSION, Mix, generate
from worldline.synth.render import Rendering, render
from worldline.synth.samples import surface_points
from worldline.synth.sensor import SENSORS, Sensor, record
from worldline.synth.splits import split_of
from worldline.synth.world import World
from worldline.synth.world_field import WorldField, name_pixels

FRAMES_AT_ONCE = 8  # of what is drawn: more would only need more memory
STILL = 1e-9  # m, and of a rotation matrix: less is the rounding of poses

Progress = Callable[[int, int], None]  # frames done, and of how many


@dataclass(frozen=True, eq=False)
class Views:
    """Pictures of a world with the truth of every pixel.

    ``frames`` are sRGB; ``depth`` is z-depth in metres (NaN: nothing is seen), ``instance`` the
    object's slot or -1, ``dynamic`` whether that object moves during the clip; ``normals`` are unit
    vectors in the scene's axes (0 where nothing is seen).
    """

    frames: UInt8[np.ndarray, "N H W 3"]
    depth: Float32[np.ndarray, "N H W"]
    instance: Int32[np.ndarray, "N H W"]
    dynamic: Bool[np.ndarray, "N H W"]
    normals: Float32[np.ndarray, "N H W 3"]


@dataclass(frozen=True, eq=False)
class Flow:
    """Optical flow in pixels (NaN: nothing is seen), and whether the target frame sees it, too."""

    flow: Float32[np.ndarray, "H W 2"]
    visible: Bool[np.ndarray, "H W"]


@dataclass(frozen=True, eq=False)
class SyntheticClip:
    """A clip of one world (batches of one), with functions for every truth.

    ``views`` are the pictures as they were recorded and their truth, which is that of a pinhole.
    ``distortion`` are OpenCV's k1 and k2 of the lens that the pictures were taken through (0:
    none). ``provenance`` are plain JSON values.
    """

    world: World
    cameras: Cameras
    views: Views
    distortion: tuple[float, float] = (0.0, 0.0)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.views.frames)

    @property
    def times(self) -> Float64[np.ndarray, " N"]:
        """Seconds of the frames."""
        return self.cameras.times[0].cpu().double().numpy()

    @cached_property
    def scene(self) -> Scene:
        """The truth as a Scene: metric, of confidence 1, its motion exact at any time.

        Its frames are those of the pinhole: what the lens distorted is undone.
        """
        frames, lens = self.views.frames, None
        if any(self.distortion):
            lens = (*self.distortion, 0.0, 0.0, 0.0)
            frames = frames.copy()
            for i, K in enumerate(self.cameras.intrinsics[0].cpu().double().numpy()):
                undistort(frames[i : i + 1], K, lens)
        return Scene(
            frames=frames,
            times=self.times,
            cameras=_scene_cameras(self.cameras, lens),
            depth=self.views.depth,
            confidence=np.ones_like(self.views.depth),
            dynamic=self.views.dynamic.astype(np.float32),
            motion=WorldField.of(self.world, self.cameras),
            original_size=self.cameras.size,
            metric=True,
            provenance=self.provenance,
        )

    def flow(self, i: int, j: int) -> Flow:
        """Optical flow from frame ``i`` to ``j`` (backward where j < i), hidden points included."""
        i, j = frame_index(i, len(self)), frame_index(j, len(self))
        pair = self.cameras.frames([i, j])
        seen = render(self.world, self.cameras.frames([i]), colour=False)
        found = truth.flow(self.world, pair, seen, 0, 1)
        return Flow(found.flow[0].float().cpu().numpy(), found.visible[0].cpu().numpy())

    def tracks(self, queries: Num[np.ndarray, "M 3"]) -> Tracks:
        """Points followed through all frames, visible by ray test; queries are (frame, x, y).

        A query that sees nothing is NaN, not visible, and of confidence 0.
        """
        queries = np.asarray(queries, np.float64)
        sources = np.array([frame_index(int(i), len(self)) for i in queries[:, 0]], np.int64)
        instance = torch.full((len(queries),), -1, device=self.world.device)
        material = torch.zeros(len(queries), 3, device=self.world.device)
        for i in sorted(set(sources.tolist())):
            rows = torch.from_numpy(np.flatnonzero(sources == i)).to(self.world.device)
            pixels = torch.from_numpy(queries[:, 1:]).to(self.world.device)[rows]
            instance[rows], material[rows] = name_pixels(self.world, self.cameras, i, pixels)
        names = instance[None], material[None].to(self.world.half)
        found = truth.tracks(self.world, self.cameras, *names)
        xyz, uv, visible = (x[0].transpose(0, 1).cpu() for x in found)
        confidence = (instance >= 0).float().cpu()[:, None].expand(-1, len(self))
        return Tracks(
            self._in_scene(xyz).numpy(), visible.numpy(), uv.float().numpy(), confidence.numpy()
        )

    def complete(
        self, at: At, count: int = 100_000, *, seed: int = 0, backdrop: bool = False
    ) -> PointCloud:
        """Points spread evenly over all surfaces at one time, those that no frame sees included.

        ``backdrop`` takes room, ground and terrain in. ``source_frame`` is -1, the colour grey.
        """
        position, single = frame_positions(at, self.times)
        if not single:
            raise InputError("complete() gathers points at one time; call it once per time")
        time = self._seconds(position)
        generator = torch.Generator().manual_seed(seed)
        found = surface_points(self.world, time, count, generator, backdrop)
        moves = self.world.moves(self.cameras.times)[0]
        kept = found.valid[0]
        dynamic = moves[found.instance[0, kept]].float().cpu().numpy()
        points = self._in_scene(found.xyz[0, kept].cpu()).numpy()
        return PointCloud(
            xyz=points,
            rgb=np.full((len(points), 3), 128, np.uint8),
            confidence=np.ones(len(points), np.float32),
            source_frame=np.full(len(points), -1, np.int32),
            dynamic=dynamic,
        )

    def novel_views(
        self,
        world_from_camera: Float64[np.ndarray, "V 4 4"],
        intrinsics: Float64[np.ndarray, "V 3 3"],
        at: Float64[np.ndarray, " V"],
        size: tuple[int, int] | None = None,
        samples: int = 2,
    ) -> Views:
        """The same world from other cameras (in the scene's axes) at other times in seconds."""
        first = self.cameras.world_from_camera[0, 0]
        others = Cameras(
            (first @ torch.from_numpy(world_from_camera).to(first))[None],
            torch.from_numpy(intrinsics).to(first)[None],
            size or self.cameras.size,
            torch.from_numpy(at).to(first)[None],
        )
        return draw(self.world, others, samples=samples, clip=self.cameras)

    def _in_scene(self, points: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        first = invert(self.cameras.world_from_camera[0, 0].cpu().double())
        flat = transform(first, points.double().reshape(-1, 3))
        return flat.reshape(points.shape).float()

    def _seconds(self, position: Float64[np.ndarray, " T"]) -> Float[Tensor, " T"]:
        seconds = np.interp(position, np.arange(len(self)), self.times)
        return torch.from_numpy(seconds).to(self.cameras.times)


def make_clip(  # noqa: PLR0913 # one name for each choice a user has
    seed: int,
    mix: str | Mix = "train",
    *,
    size: tuple[int, int] = (480, 270),
    frames: int = 48,
    rate: float = 24.0,
    samples: int = 2,
    sensor: str | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> SyntheticClip:
    """The clip of a seed: the same one everywhere, for the same choices and version.

    ``size`` is (width, height), ``rate`` frames a second; samples² rays make a pixel's colour;
    ``sensor`` is a name in SENSORS, whose faults the seed draws (None: clean pictures).
    Raises InputError for a seed in no split, a mix or sensor that there is not, or sizes below 1.
    """
    split = split_of(seed)
    if isinstance(mix, str) and mix not in MIXES:
        raise InputError(f"there is no mix {mix!r}; there is: {', '.join(MIXES)}")
    if sensor is not None and sensor not in SENSORS:
        raise InputError(f"there is no sensor {sensor!r}; there is: {', '.join(SENSORS)}")
    if min(*size, frames, samples) < 1 or not rate > 0:
        raise InputError(
            f"size {size}, frames {frames}, samples {samples} must be at least 1, the rate "
            f"{rate} above 0"
        )
    chosen = MIXES[mix] if isinstance(mix, str) else mix
    world, cameras = generate([seed], chosen, size=size, frames=frames, rate=rate, device=device)
    settings = {"seed": seed, "split": split, "mix": mix if isinstance(mix, str) else "own"}
    settings |= {"size": list(size), "frames": frames, "rate": rate, "samples": samples}
    settings |= {"sensor": sensor}
    told = {"source": f"synthetic world {seed}", "settings": settings, "generator": VERSION}
    return record_clip(
        world,
        cameras,
        samples=samples,
        sensor=None if sensor is None else SENSORS[sensor],
        seed=seed,
        provenance=told,
        progress=progress,
    )


def record_clip(
    world: World,
    cameras: Cameras,
    *,
    samples: int = 2,
    sensor: Sensor | None = None,
    seed: int = 0,
    provenance: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> SyntheticClip:
    """A clip of one world (batches of one), drawn with samples² rays a pixel.

    ``sensor`` draws the faults of its pictures from ``seed``; its clips are drawn as a whole, so
    long ones need memory. Raises InputError for several worlds.
    """
    if len(cameras.times) != 1:
        raise InputError(f"a clip is of one world; there are {len(cameras.times)}")
    distortion = (0.0, 0.0)
    if sensor is None:
        views = draw(world, cameras, samples=samples, progress=progress)
    else:
        taken = record(world, cameras, sensor, [seed], samples=samples)
        views = _views(taken.rendering, *_moves_and_axes(world, cameras))
        first, second = taken.distortion[0].tolist()
        distortion = (first, second)
    origin = {
        "system": "synth",
        "source": "synthetic world",
        "worldline": version("worldline"),
        "fingerprint": fingerprint(world, cameras),
        "intrinsics_source": "given",
    }
    return SyntheticClip(world, cameras, views, distortion, origin | (provenance or {}))


def fingerprint(world: World, cameras: Cameras) -> str:
    """A hash of all that a clip is made from."""
    both = world.fingerprint() + trees.fingerprint(cameras)
    return hashlib.sha256(both.encode()).hexdigest()


def draw(
    world: World,
    cameras: Cameras,
    *,
    samples: int = 2,
    clip: Cameras | None = None,
    progress: Progress | None = None,
) -> Views:
    """Pictures and truth in the axes of the clip's first camera.

    ``clip``: the cameras of the clip, where others are drawn; they say what moves meanwhile.
    """
    meanwhile = _moves_and_axes(world, clip or cameras)
    parts = []
    for frames in _runs(cameras.times.shape[1]):
        parts.append(_views(render(world, cameras.frames(frames), samples=samples), *meanwhile))
        if progress is not None:
            progress(frames[-1] + 1, cameras.times.shape[1])
    names = [one.name for one in dataclasses.fields(Views)]
    return Views(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def _runs(count: int) -> Iterator[list[int]]:
    for start in range(0, count, FRAMES_AT_ONCE):
        yield list(range(start, min(start + FRAMES_AT_ONCE, count)))


def _moves_and_axes(world: World, clip: Cameras) -> tuple[Bool[Tensor, " K"], Float[Tensor, "3 3"]]:
    """Which objects move during a clip, and the axes of its first camera."""
    return world.moves(clip.times)[0], clip.world_from_camera[0, 0, :3, :3].float()


def _views(seen: Rendering, moves: Bool[Tensor, " K"], axes: Float[Tensor, "3 3"]) -> Views:
    assert seen.rgb is not None  # colour is on by default
    depth, instance = seen.depth[0], seen.instance[0]
    return Views(
        frames=(255 * seen.rgb[0]).round().clamp(0, 255).byte().cpu().numpy(),
        depth=torch.where(depth.isfinite(), depth, torch.nan).cpu().numpy(),
        instance=instance.int().cpu().numpy(),
        dynamic=(moves[instance.clamp_min(0)] & (instance >= 0)).cpu().numpy(),
        normals=(seen.normal[0] @ axes).cpu().numpy(),
    )


def _scene_cameras(cameras: Cameras, distortion: tuple[float, ...] | None) -> SceneCameras:
    """The cameras in the axes of the first one."""
    poses = relative_poses(cameras)[0].cpu().double()
    count = len(poses)
    return SceneCameras(
        world_from_camera=poses.numpy(),
        intrinsics=cameras.intrinsics[0].cpu().double().numpy(),
        registered=np.ones(count, bool),
        focal_sigma=np.zeros(count),
        motion=_camera_motion(poses),
        distortion=distortion,
    )


def relative_poses(cameras: Cameras) -> Float[Tensor, "B N 4 4"]:
    """``world_from_camera`` of every clip in the axes of its first camera, which is exactly I."""
    first = invert(cameras.world_from_camera[:, :1])
    poses = first @ cameras.world_from_camera
    poses[:, 0] = torch.eye(4).to(poses)  # without the product's rounding
    return poses


def _camera_motion(
    poses: Float64[Tensor, "N 4 4"],
) -> Literal["free", "rotation", "still", "unknown"]:
    if len(poses) == 1:
        return "unknown"
    moved = (poses - poses[0]).abs().amax(dim=0)
    if moved[:3, 3].max() > STILL:
        return "free"
    return "rotation" if moved[:3, :3].max() > STILL else "still"
