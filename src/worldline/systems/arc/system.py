"""`4rc`: a clip in, a scene out whose motion is a latent."""

import numpy as np
import torch
from jaxtyping import Float32

from worldline.geometry.pose_encoding import decode_camera
from worldline.geometry.raymap import cameras_from_rays
from worldline.io.clip import Clip
from worldline.models.fourrc import FourRC, FourRCViews
from worldline.scene import Scene
from worldline.systems.arc.field import LatentField, bits
from worldline.systems.feedforward.fitted import fitted, images, unused
from worldline.systems.feedforward.posed import posed
from worldline.systems.listener import Report
from worldline.systems.networks import CamerasFrom, located, recorded
from worldline.systems.stages import Arrays, Stages

LONGEST = 504  # of a frame's sides, in pixels: the most that 4RC was trained on
_APART = (1 / 3, 2 / 3)  # of the clip: how far off the times are that frames are compared with
_MOVES = 0.02  # of its depth by which a point must be displaced to be called moving by half


def arc(
    clip: Clip, stages: Stages, network: FourRC, *, seed: int, cameras: CamerasFrom = "head"
) -> Scene:
    """Reconstruct a clip of any number of frames with 4RC.

    cameras: from the light camera head, or from the ray maps, which are more exact.

    Returns a Scene in the network's own units, at the network's size: sides are multiples of its
    patch and none above 504. Confidence is 1 + exp of what the network says. A pixel is called
    moving as far as it is displaced, relative to its depth, at two times a third of the clip away
    (our choice: 4RC itself says only how far).
    """
    clip = fitted(clip, network.config.patch, LONGEST)
    encoded = stages.run("encode", lambda report: _encode(clip, network))
    height, width = clip.frames.shape[1:3]
    found = _cameras(encoded, clip, cameras, seed)
    turned, first, warnings = posed(*found, (height, width), clip.distortion)
    field = LatentField(
        encoded["patches"], encoded["times"], (height, width), first, located(network), network
    )
    moving = stages.run("moving", lambda report: _moving(field, encoded["depth"], report))
    return Scene(
        frames=clip.frames,
        times=clip.times,
        cameras=turned,
        depth=encoded["depth"],
        confidence=encoded["confidence"],
        dynamic=moving["dynamic"],
        motion=field,
        original_size=clip.original_size,
        provenance={
            "weights": recorded(network),
            "cameras": cameras,
            "warnings": [*warnings, *unused(clip, "4rc")],
        },
    )


def _encode(clip: Clip, network: FourRC) -> Arrays:
    device = next(network.parameters()).device
    with torch.inference_mode():
        latent, views = network.encode(images(clip.frames, device))
    return {
        "patches": np.concatenate([bits(level) for level in latent.patches]),
        "times": np.concatenate([bits(level) for level in latent.times]),
        **_geometry(views),
    }


def _geometry(views: FourRCViews) -> Arrays:
    geometry = views.geometry
    parts = {
        "depth": geometry.depth,
        "confidence": geometry.depth_confidence,
        "ray": geometry.ray,
        "ray_confidence": geometry.ray_confidence,
        "cameras": views.cameras,
    }
    return {name: part[0].float().cpu().numpy() for name, part in parts.items()}


def _cameras(
    encoded: Arrays, clip: Clip, source: CamerasFrom, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """World-from-camera motions and intrinsics, pixels counted from 0."""
    height, width = clip.frames.shape[1:3]
    if source == "head":
        return decode_camera(torch.from_numpy(np.array(encoded["cameras"])), (height, width))
    ray, confidence = (
        torch.from_numpy(np.array(encoded[name])) for name in ("ray", "ray_confidence")
    )
    intrinsics, motion = cameras_from_rays(
        ray, confidence, (height, width), centred=True, seed=seed
    )
    intrinsics[:, :2, 2] -= 0.5  # ray maps follow the house's pixels already
    return motion, intrinsics


def _moving(field: LatentField, depth: Float32[np.ndarray, "N H W"], report: Report) -> Arrays:
    """How likely each pixel moves: by how far it is displaced elsewhere in the clip."""
    count = len(depth)
    dynamic = np.zeros_like(depth)
    for i in range(count):
        others = {(i + max(1, round(share * count))) % count for share in _APART} - {i}
        if others:
            moved = field.query(i, np.array(sorted(others), np.float64)).displacement
            relative = np.linalg.norm(moved, axis=-1).max(axis=0) / depth[i]
            dynamic[i] = relative**2 / (relative**2 + _MOVES**2)
        report(i + 1, count)
    return {"dynamic": dynamic}
