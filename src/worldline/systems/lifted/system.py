"""`da3` and `vggt`: geometry by a network, motion by a point tracker."""

import numpy as np
import torch
from torch import nn

from worldline.io.clip import Clip
from worldline.models.cotracker3 import CoTracker3
from worldline.models.cotracker3_tracking import every_pixel, track
from worldline.models.da3 import DA3, DA3Nested
from worldline.scene import Scene, StillField, TrackField
from worldline.scene.motion import MotionField
from worldline.systems.classic.flowbank import FlowBank
from worldline.systems.classic.tracks import ChainedTracker
from worldline.systems.feedforward.fitted import fitted, unused
from worldline.systems.feedforward.posed import posed
from worldline.systems.lifted.geometry import geometry, known_cameras
from worldline.systems.lifted.motion import in_world, mobility, spread
from worldline.systems.listener import Report
from worldline.systems.networks import CamerasFrom, recorded
from worldline.systems.stages import Arrays, Stages

LONGEST = 504  # of a frame's sides, in pixels: a multiple of the patch that both networks know
_STEP = 16  # pixels between the points that a tracking network is asked for
_ASKED = 4  # frames that they are asked in


def lifted(
    clip: Clip,
    stages: Stages,
    network: nn.Module,
    *,
    seed: int,
    cameras: CamerasFrom = "head",
    tracker: nn.Module | None = None,
) -> Scene:
    """Reconstruct a clip with Depth Anything 3 or VGGT, and CoTracker3 or chained optical flow.

    cameras: from the camera head or, of Depth Anything 3, from the ray maps.
    tracker: None follows points by optical flow from frame to frame.

    Returns a Scene in the network's units (metres from the nested Depth Anything 3, those of the
    cameras if they were given) and at its size. Points on what does not move stay where they are;
    the others follow the tracks around them (the baseline "VGGT + CoTracker3" of 4RC's Table 1).
    """
    clip = fitted(clip, 14, LONGEST)
    found = stages.run("geometry", lambda report: geometry(clip, network, cameras, seed))
    motion, intrinsics = (torch.from_numpy(np.array(found[n])) for n in ("motion", "intrinsics"))
    height, width = clip.frames.shape[1:3]
    placed, _, warnings = posed(motion, intrinsics, (height, width), clip.distortion)
    dynamic, field = np.zeros_like(found["depth"]), _still(clip)
    if len(clip.frames) > 1:
        tracks = stages.run("tracks", lambda report: _tracks(clip, tracker, seed, report))
        uv, visible, depth = tracks["uv"], tracks["visible"], found["depth"]
        lenses = placed.intrinsics
        xyz = in_world(uv, visible, depth, lenses, placed.world_from_camera)
        moves = mobility(uv, visible, xyz, lenses, placed.camera_from_world, (height, width))
        dynamic = spread(uv, visible, moves, depth)
        going = moves > 0.5
        field = TrackField(uv[going], xyz[going], visible[going], dynamic, depth)
    return Scene(
        frames=clip.frames,
        times=clip.times,
        cameras=placed,
        depth=found["depth"],
        confidence=found["confidence"],
        dynamic=dynamic,
        motion=field,
        original_size=clip.original_size,
        metric=isinstance(network, DA3Nested),
        provenance={
            "weights": recorded(network),
            "tracker": _name(tracker),
            "warnings": [*warnings, *unused(clip, "this system", cameras=not _told(clip, network))],
        },
    )


def _still(clip: Clip) -> MotionField:
    height, width = clip.frames.shape[1:3]
    return StillField(height, width)


def _told(clip: Clip, network: nn.Module) -> bool:
    """Whether the network was given the cameras that are known."""
    return isinstance(network, DA3 | DA3Nested) and known_cameras(clip) is not None


def _tracks(clip: Clip, tracker: nn.Module | None, seed: int, report: Report) -> Arrays:
    """Points that cover all frames, and where they are seen."""
    if tracker is None:
        found = ChainedTracker(FlowBank(clip.frames), seed=seed, report=report)(clip.frames)
        return {"uv": found.uv, "visible": found.visible}
    assert isinstance(tracker, CoTracker3)
    count, height, width = clip.frames.shape[:3]
    asked = sorted({round(t) for t in np.linspace(0, count - 1, min(_ASKED, count))})
    queries = torch.cat([every_pixel(height, width, t, _STEP) for t in asked])
    frames = torch.from_numpy(np.array(clip.frames))
    said = track(tracker, frames, queries, backward=tracker.config.online)
    return {"uv": said.xy.float().cpu().numpy(), "visible": said.visible.cpu().numpy()}


def _name(tracker: nn.Module | None) -> str:
    return "chained optical flow" if tracker is None else str(recorded(tracker)["name"])
