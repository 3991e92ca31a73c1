"""`complet4r`: a clip in, a scene out whose points can be gathered at any time."""

import numpy as np
import torch
from jaxtyping import Float32

from worldline.geometry.pose_encoding import decode_camera, inverse_motion
from worldline.io.clip import Clip
from worldline.models.complet4r import Complet4r, Encoded
from worldline.scene import Scene
from worldline.systems.arc.field import bits, floats
from worldline.systems.complet4r.field import EndPointField
from worldline.systems.feedforward.fitted import fitted, images, unused
from worldline.systems.feedforward.posed import posed
from worldline.systems.listener import Report
from worldline.systems.networks import located, recorded
from worldline.systems.stages import Arrays, Stages

LONGEST = 518  # of a frame's sides, in pixels: the most that Complet4R was trained on
_TARGETS = 4  # spread over the clip: between which of these times points are compared
_MOVES = 0.02  # of its depth by which a point must move to be called moving by half


def complet4r(clip: Clip, stages: Stages, network: Complet4r, *, seed: int) -> Scene:
    """Reconstruct a clip of any number of frames with Complet4R.

    Returns a Scene in the network's own units, at the network's size: sides are multiples of its
    patch and none above 518. Cameras, depth and confidence (1 + exp of what the network says) are
    those of the pass whose target is frame 0. A pixel is called moving as far as its end points at
    four times of the clip lie apart, relative to its depth (our choice: the paper has none).
    """
    clip = fitted(clip, network.config.patch, LONGEST)
    shared = stages.run("encode", lambda report: _encode(clip, network))
    found = stages.run("reconstruct", lambda report: _reconstruct(clip, shared, network))
    height, width = clip.frames.shape[1:3]
    poses = torch.from_numpy(np.array(found["poses"]))
    motion, intrinsics = decode_camera(poses, (height, width))
    world = inverse_motion(motion)
    cameras, turn, warnings = posed(world, intrinsics, (height, width), clip.distortion)
    to_world = np.concatenate([turn, -turn @ world[0, :, 3:].numpy()], axis=1)
    field = EndPointField(
        shared["patches"], found["poses"], found["depth"], to_world, located(network), network
    )
    moving = stages.run("moving", lambda report: _moving(field, found["depth"], report))
    return Scene(
        frames=clip.frames,
        times=clip.times,
        cameras=cameras,
        depth=found["depth"],
        confidence=found["confidence"],
        dynamic=moving["dynamic"],
        motion=field,
        original_size=clip.original_size,
        provenance={
            "weights": recorded(network),
            "warnings": [*warnings, *unused(clip, "complet4r")],
        },
    )


@torch.inference_mode()
def _encode(clip: Clip, network: Complet4r) -> Arrays:
    device = next(network.parameters()).device
    return {"patches": bits(network.encode(images(clip.frames, device)).patches[0])}


@torch.inference_mode()
def _reconstruct(clip: Clip, shared: Arrays, network: Complet4r) -> Arrays:
    like = network.aggregator.camera_token
    patches = floats(shared["patches"]).to(like.device, like.dtype)[None]
    height, width = clip.frames.shape[1:3]
    first = torch.zeros(1, dtype=torch.long, device=like.device)
    out = network.reconstruct(Encoded(patches, (height, width)), first)
    parts = {"poses": out.poses[-1], "depth": out.depth, "confidence": out.depth_confidence}
    return {name: part[0].float().cpu().numpy() for name, part in parts.items()}


def _moving(field: EndPointField, depth: Float32[np.ndarray, "N H W"], report: Report) -> Arrays:
    """How likely each pixel moves: by how far apart its end points lie."""
    targets = np.unique(np.linspace(0, len(depth) - 1, _TARGETS).round().astype(int)).tolist()
    lowest = np.full((*depth.shape, 3), np.inf, np.float32)
    highest = -lowest
    for done, target in enumerate(targets, start=1):
        points, _ = field.gathered(target)
        np.minimum(lowest, points, out=lowest)
        np.maximum(highest, points, out=highest)
        report(done, len(targets))
    relative = np.linalg.norm(highest - lowest, axis=-1) / depth
    return {"dynamic": relative**2 / (relative**2 + _MOVES**2)}
