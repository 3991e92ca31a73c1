"""Depth and cameras of a clip by Depth Anything 3 or VGGT, as plain arrays."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from worldline.errors import InputError
from worldline.geometry.alignment import umeyama
from worldline.geometry.pose_encoding import inverse_motion
from worldline.geometry.raymap import cameras_from_rays
from worldline.io.clip import Clip
from worldline.models.da3 import DA3, DA3Nested, DA3Views, relative_cameras
from worldline.models.vggt import Vggt, cameras_of
from worldline.systems.feedforward.fitted import images
from worldline.systems.networks import CamerasFrom
from worldline.systems.stages import Arrays


class _Found(NamedTuple):
    """World-from-camera motions; intrinsics of pixels that count from 0."""

    depth: Float[Tensor, "N H W"]
    confidence: Float[Tensor, "N H W"]
    motion: Float[Tensor, "N _ 4"]
    intrinsics: Float[Tensor, "N 3 3"]


def geometry(clip: Clip, network: nn.Module, cameras: CamerasFrom, seed: int) -> Arrays:
    """Depth, its confidence, world-from-camera motions and intrinsics of all frames.

    Cameras that are known of all frames are given to Depth Anything 3, and set the unit.
    Raises InputError where the network has no ray maps to read cameras from.
    """
    device = next(network.parameters()).device
    with torch.inference_mode():
        if isinstance(network, Vggt):
            found = _by_vggt(clip, network, device, cameras)
        else:
            assert isinstance(network, DA3 | DA3Nested)
            found = _by_da3(clip, network, device, cameras, seed)
    return {name: part.float().cpu().numpy() for name, part in found._asdict().items()}


def _by_vggt(clip: Clip, network: Vggt, device: torch.device, cameras: CamerasFrom) -> _Found:
    if cameras == "rays":
        raise InputError("VGGT predicts no ray maps: leave out --cameras rays")
    said = network(images(clip.frames, device))
    height, width = said.depth.shape[-2:]
    motion, intrinsics = cameras_of(said.poses[-1], (height, width))
    return _Found(said.depth[0], said.depth_confidence[0], inverse_motion(motion)[0], intrinsics[0])


def _by_da3(
    clip: Clip,
    network: DA3 | DA3Nested,
    device: torch.device,
    cameras: CamerasFrom,
    seed: int,
) -> _Found:
    given = known_cameras(clip)
    told = None
    if given is not None:
        motion, intrinsics = (x.float().to(device)[None] for x in given)
        intrinsics[..., :2, 2] -= 0.5
        told = relative_cameras(motion), intrinsics
    views = network(images(clip.frames, device, imagenet=True), told)
    depth, confidence = views.geometry.depth[0], views.geometry.depth_confidence[0]
    motion, intrinsics = _own_cameras(views, cameras, seed)
    if given is None:
        return _Found(depth, confidence, motion, intrinsics)
    scale = 1.0 if isinstance(network, DA3Nested) else _unit(motion, given[0].to(motion))
    known = given[1].to(motion)
    known[:, :2, 2] -= 0.5
    return _Found(depth * scale, confidence, given[0].to(motion), known)


def _own_cameras(
    views: DA3Views, cameras: CamerasFrom, seed: int
) -> tuple[Float[Tensor, "N _ 4"], Float[Tensor, "N 3 3"]]:
    if cameras == "head":
        return views.world_from_camera[0], views.intrinsics[0]
    found = views.geometry
    height, width = found.depth.shape[-2:]
    intrinsics, motion = cameras_from_rays(
        found.ray[0].cpu(), found.ray_confidence[0].cpu(), (height, width), centred=True, seed=seed
    )
    intrinsics[:, :2, 2] -= 0.5
    return motion, intrinsics


def known_cameras(clip: Clip) -> tuple[Float[Tensor, "N 3 4"], Float[Tensor, "N 3 3"]] | None:
    """Motions and intrinsics (house pixels) if they are known of every frame."""
    poses, lenses = clip.known_poses, clip.known_intrinsics
    if lenses is None and clip.intrinsics is not None:
        lenses = np.broadcast_to(clip.intrinsics, (len(clip.frames), 3, 3))
    if poses is None or lenses is None or not np.isfinite(poses).all():
        return None
    if not np.isfinite(lenses).all():
        return None
    return torch.from_numpy(np.array(poses[:, :3])), torch.from_numpy(np.array(lenses))


def _unit(ours: Float[Tensor, "N _ 4"], given: Float[Tensor, "N 3 4"]) -> float:
    """Given units for one of the network's, by the cameras' places; 1 if they do not move."""
    source, target = ours[:, :3, 3].double().cpu(), given[:, :, 3].double().cpu()
    if float((target - target[:1]).norm(dim=-1).max()) == 0:
        return 1.0
    return float(umeyama(source, target)[0])
