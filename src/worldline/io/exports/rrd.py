"""A scene as a Rerun recording: pictures, cameras, points and tracks on one time line."""

from pathlib import Path

import numpy as np
import rerun as rr

from worldline.io.exports.clouds import MOVES, MovingPoints, sample_tracks, split_points
from worldline.io.exports.registry import Choices
from worldline.scene import Scene, Tracks
from worldline.scene.store import write_bytes

_CAMERA, _IMAGE = "world/camera", "world/camera/image"
_MOVING = (1, "moving", (255, 120, 0))
_TRAIL = 12  # frames of a track's past that are drawn
_TRACK = (255, 140, 20)
_JPEG = 95


def export_rrd(scene: Scene, path: Path, choices: Choices) -> None:
    """Write frames, depth, the mask of what moves, cameras, points and tracks, frame by frame.

    Axes and lengths are the scene's, pixels are working pixels with the top-left centre at
    (0.5, 0.5), as Rerun has them too. The time lines are `time` (seconds) and `frame`. Frames
    are JPEG of quality 95; unknown depth is 0. Still points are there once, moving ones as they
    are gathered at each frame's time; tracks show their last 12 frames. The whole recording is in
    memory for a moment.

    Raises StorageError when the disk refuses.
    """
    still, moving = split_points(scene, choices)
    tracks = sample_tracks(scene, choices)
    recording = rr.RecordingStream("worldline")
    recording.set_log_time_enabled(False)  # when it was written says nothing about the clip
    recording.set_log_tick_enabled(False)
    # Kept in memory: where the disk is full, the library's own file writer waits for ever.
    stream = rr.binary_stream(recording)
    _log_lasting(recording, still.xyz, still.rgb)
    for j, seconds in enumerate(scene.times.tolist()):
        recording.set_time("time", duration=seconds)
        recording.set_time("frame", sequence=j)
        _log_camera(recording, scene, j)
        _log_pictures(recording, scene, j)
        _log_world(recording, moving, tracks, j)
    data = stream.read() or b""
    recording.disconnect()
    write_bytes(path, data)


def _log_lasting(recording: rr.RecordingStream, xyz: np.ndarray, rgb: np.ndarray) -> None:
    """What holds at every time."""
    recording.log("world", rr.ViewCoordinates.RDF, static=True)
    recording.log(_IMAGE, rr.AnnotationContext([_MOVING]), static=True)
    recording.log("world/points", rr.Points3D(xyz, colors=rgb), static=True)


def _log_camera(recording: rr.RecordingStream, scene: Scene, j: int) -> None:
    pose = scene.cameras.world_from_camera[j]
    recording.log(_CAMERA, rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3]))
    pinhole = rr.Pinhole(
        image_from_camera=scene.cameras.intrinsics[j],
        resolution=scene.size,
        camera_xyz=rr.ViewCoordinates.RDF,
    )
    recording.log(_IMAGE, pinhole)


def _log_pictures(recording: rr.RecordingStream, scene: Scene, j: int) -> None:
    frame = rr.Image(np.ascontiguousarray(scene.frames[j])).compress(jpeg_quality=_JPEG)
    recording.log(f"{_IMAGE}/rgb", frame)
    # One unit of depth is one of the world, whether or not it is a metre.
    depth = rr.DepthImage(np.nan_to_num(scene.depth[j], posinf=0.0), meter=1.0)
    recording.log(f"{_IMAGE}/depth", depth)
    mask = (scene.dynamic[j] > MOVES).astype(np.uint8)
    recording.log(f"{_IMAGE}/moving", rr.SegmentationImage(mask))


def _log_world(recording: rr.RecordingStream, moving: MovingPoints, tracks: Tracks, j: int) -> None:
    recording.log("world/moving", rr.Points3D(moving.xyz[j], colors=moving.rgb[j]))
    trails = tracks.xyz[:, max(0, j - _TRAIL) : j + 1]
    if j > 0 and len(trails):
        recording.log("world/tracks", rr.LineStrips3D(trails, colors=_TRACK))
