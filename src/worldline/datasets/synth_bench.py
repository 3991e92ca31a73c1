"""synth-bench: clips of procedural worlds, drawn when they are asked for; there are no files.

Truth is exact: cameras, depth, what moves, and where every pixel's point is at any frame. See
``worldline.synth.bench`` for what the difficulties are, and for the version and hash of the clips.
"""

from pathlib import Path

import numpy as np

from worldline.datasets.clip import Clip, HeldOut, PointTracks
from worldline.datasets.frames import Frames
from worldline.errors import InputError
from worldline.synth.bench import bench_list, draw_bench_clip
from worldline.synth.clips import SyntheticClip

TRACKS = 512  # points of a clip that are followed
VIEWS = 6  # pictures from a clip's cameras at other times


def names(root: Path | None = None) -> list[str]:
    """All clips, first of each difficulty the first, so that a run cut short has some of each."""
    return sorted((one.name for one in bench_list()), key=lambda name: name.rpartition("-")[2])


def read(root: Path | None, name: str, frames: Frames = None) -> Clip:
    """Draw a clip. ``root`` means nothing. Raises InputError for a name that there is not."""
    if frames is not None:
        raise InputError("a clip of synth-bench is measured as a whole; leave the frames out.")
    (one,) = [one for one in bench_list([name]) if one.name == name]
    clip = draw_bench_clip(one)
    truth = clip.scene
    return Clip(
        name=name,
        frames=clip.views.frames,
        frame_names=tuple(f"{i:05d}" for i in range(len(truth))),
        metric=True,
        times=clip.times,
        world_from_camera=np.asarray(truth.cameras.world_from_camera, np.float64),
        intrinsics=np.asarray(truth.cameras.intrinsics, np.float64),
        depth=np.asarray(truth.depth),
        dynamic=np.asarray(truth.dynamic) > 0.5,
        flow=np.stack([clip.flow(i, i + 1).flow for i in range(len(truth) - 1)]),
        tracks=_tracks(clip, one.seed),
        views=_views(clip),
        motion=truth.motion,
        motion_size=truth.size,
    )


def _views(clip: SyntheticClip) -> HeldOut:
    """What cameras of the clip would see at other times: half the clip later."""
    at = np.linspace(0, len(clip) - 1, VIEWS).round().astype(int)
    cameras = clip.scene.cameras
    poses, K = (x[at].astype(np.float64) for x in (cameras.world_from_camera, cameras.intrinsics))
    times = clip.times[(at + len(clip) // 2) % len(clip)]
    return HeldOut(clip.novel_views(poses, K, times).frames, poses, K, times)


def _tracks(clip: SyntheticClip, seed: int) -> PointTracks:
    """Points drawn from all frames' pixels, followed exactly."""
    generator = np.random.default_rng(seed)
    frame = generator.integers(0, len(clip), (TRACKS, 1))
    size = clip.scene.size
    queries = np.concatenate([frame, generator.random((TRACKS, 2)) * size], axis=1)
    found = clip.tracks(queries)
    there = found.confidence[:, 0] > 0
    queries = queries[there]
    x, y = queries[:, 1:].astype(int).T
    dynamic = np.asarray(clip.scene.dynamic)[queries[:, 0].astype(int), y, x] > 0.5
    return PointTracks(
        visible=found.visible[there],
        uv=found.uv[there],
        xyz=found.xyz[there],
        dynamic=dynamic,
        query=queries[:, 0].astype(int),
    )


def problems(root: Path | None = None) -> list[str]:
    """Nothing can be missing."""
    return []


def looks_like(root: Path) -> bool:
    """No folder does: there are no files."""
    return False


def group(name: str) -> str:
    """The difficulty of a clip."""
    return name.rpartition("-")[0]
