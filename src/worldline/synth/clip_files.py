"""A synthetic clip on the disk: a video that any system reads, and the truth beside it."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from worldline.errors import InputError
from worldline.io.encoder import check_even, write_video
from worldline.scene.store import atomic_directory, write_json
from worldline.synth.clips import SyntheticClip

VIDEO, TRUTH, TOLD = "video.mp4", "truth.scene", "clip.json"


def _flows(clip: SyntheticClip) -> dict[str, np.ndarray]:
    """Flow between neighbouring frames, both ways."""
    if len(clip) < 2:
        raise InputError("a clip of one frame has no flow; ask for two frames or more")
    forward = [clip.flow(i, i + 1) for i in range(len(clip) - 1)]
    backward = [clip.flow(i, i - 1) for i in range(1, len(clip))]
    return {
        "flow_forward": np.stack([one.flow for one in forward]),
        "flow_forward_visible": np.stack([one.visible for one in forward]),
        "flow_backward": np.stack([one.flow for one in backward]),
        "flow_backward_visible": np.stack([one.visible for one in backward]),
    }


GROUND_TRUTHS: dict[str, Callable[[SyntheticClip], dict[str, np.ndarray]]] = {
    "instance": lambda clip: {"instance": clip.views.instance},
    "normals": lambda clip: {"normals": clip.views.normals},
    "flow": _flows,
}


def write_clip(
    clip: SyntheticClip, path: Path, *, extras: Iterable[str] = (), overwrite: bool = False
) -> None:
    """Write the directory ``path``, whole or not at all: video.mp4, truth.scene and clip.json.

    ``extras`` are names in GROUND_TRUTHS, written as .npy arrays: ``instance`` [N,H,W] (-1:
    nothing), ``normals`` [N,H,W,3] in world axes, ``flow_forward`` and ``flow_backward``
    [N-1,H,W,2] between neighbours in pixels (NaN: nothing is seen) with ``*_visible`` [N-1,H,W].

    Raises InputError when the path is taken (or, with overwrite, holds no clip) or an extra is
    not known, StorageError when the disk refuses.
    """
    for name in extras:
        if name not in GROUND_TRUTHS:
            raise InputError(f"there is no truth {name!r}; there is: {', '.join(GROUND_TRUTHS)}")
    check_even(clip.cameras.size)
    with atomic_directory(path, overwrite=overwrite, marker=TOLD) as partial:
        write_video(partial / VIDEO, clip.views.frames, clip.cameras.size, frame_rate(clip))
        clip.scene.save(partial / TRUTH)
        for extra in extras:
            for name, array in GROUND_TRUTHS[extra](clip).items():
                np.save(partial / f"{name}.npy", array)
        write_json(partial / TOLD, clip.provenance)


def sample_files(clip: SyntheticClip) -> dict[str, bytes | dict[str, Any]]:
    """The clip as the files of one sample of a shard, by ending; JSON as plain values.

    Endings are those that webdataset decodes. ``motion.npz`` is the world itself: the arrays of a
    ``WorldField``, which answers for any pixel at any time (``load_field("world", arrays)``).
    """
    video = BytesIO()
    write_video(video, clip.views.frames, clip.cameras.size, frame_rate(clip))
    cameras, views = clip.scene.cameras, clip.views
    poses = {"world_from_camera": cameras.world_from_camera, "intrinsics": cameras.intrinsics}
    return {
        "json": clip.provenance,
        "rgb.mp4": video.getvalue(),
        "depth.npy": _npy(views.depth),
        "instance.npy": _npy(views.instance.astype(np.int16)),
        "dynamic.npy": _npy(views.dynamic.astype(np.uint8)),
        "normals.npy": _npy(views.normals.astype(np.float16)),
        "cameras.npz": _npz(poses | {"times": clip.times}),
        "motion.npz": _npz(clip.scene.motion.arrays()),
    }


def frame_rate(clip: SyntheticClip) -> Fraction:
    """Frames a second, of one frame 24."""
    if len(clip) == 1:
        return Fraction(24)
    span = float(clip.times[-1] - clip.times[0])
    return Fraction((len(clip) - 1) / span).limit_denominator(1001)


def _npy(array: np.ndarray) -> bytes:
    file = BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    """Without compression, whose bytes depend on the library that compresses."""
    file = BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type] # its stub takes names for options
    return file.getvalue()
