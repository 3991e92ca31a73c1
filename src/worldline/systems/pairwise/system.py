"""`pairwise`: a clip and a network that sees two frames at a time in, a scene out."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from worldline.errors import ReconstructionError
from worldline.geometry.projection import pixel_grid, rays
from worldline.io.clip import Clip
from worldline.models.dust3r import Dust3r
from worldline.scene import Cameras, Scene, StillField
from worldline.scene.motion import MotionField
from worldline.systems.feedforward.fitted import fitted
from worldline.systems.networks import recorded
from worldline.systems.pairwise.field import PairField
from worldline.systems.pairwise.graph import place_frames, split
from worldline.systems.pairwise.lens import focal_length
from worldline.systems.pairwise.pairs import Pairing, PairModel, collect, network_pairs, sampled
from worldline.systems.stages import Arrays, Stages

_METADATA_SIGMA = 0.05  # of a focal length that a camera wrote beside its pictures
_NOISE = 3  # times the median displacement is still no motion, nor is this share of the depth:
_LEAST = 0.01


def pairwise(
    clip: Clip,
    stages: Stages,
    network: Dust3r | PairModel,
    *,
    seed: int,
    pairing: Pairing | None = None,
) -> Scene:
    """Reconstruct a clip two frames at a time; all pairs are brought into one world.

    network: what answers pairs; of a Dust3r, frames get the size.
    pairing: which frames meet, and whether the network moves points.
    seed: changes nothing, since nothing is random.

    Returns a Scene in its own units (the median depth of its points is 1). Confidence is that of
    the network, less 1. The motion is nothing, unless the network moves points.
    Raises ReconstructionError where no camera can see the network's points where they are.
    """
    pairing = pairing or Pairing()
    weights = {}
    if isinstance(network, Dust3r):
        clip = fitted(clip, network.config.patch, network.config.image)
        weights = {"weights": recorded(network)}
        network = network_pairs(network)
    told = stages.run("pairs", lambda report: collect(clip.frames, network, pairing, report))
    solved = stages.run("cameras", lambda report: _solve(clip, told))
    return _scene(clip, told, solved, weights)


def _solve(clip: Clip, told: Arrays) -> Arrays:
    """The lens, and where every frame is: a camera and the unit of its depth."""
    tensors = {name: torch.tensor(told[name]) for name in told if name not in ("moved", "own")}
    height, width = clip.frames.shape[1:3]
    samples = sampled(height, width)
    seen = torch.from_numpy(told["own"].reshape(len(clip.frames), -1, 3)[:, samples]).double()
    weight = tensors["confidence"].flatten(1)[:, samples].log().double()
    uv = pixel_grid(height, width, dtype=torch.float64).flatten(0, 1)[samples]
    if not (seen[..., 2] > 0).any(dim=1).all():
        raise ReconstructionError("the network puts whole frames behind their cameras")
    intrinsics, sigma = _lens(clip, uv, seen, weight)
    # From here on the frames' points are the scene's: depth along the rays of its lens.
    seen = rays(uv.expand(len(seen), -1, -1), torch.from_numpy(intrinsics)) * seen[..., 2:]
    placed = torch.eye(4, dtype=torch.float64).repeat(len(seen), 1, 1)
    residual = torch.zeros(0)
    meets = tensors["pairs"][:, 0] != tensors["pairs"][:, 1]
    if meets.any():
        names = ("first", "second", "first_weight", "second_weight")
        first, second, *weights = (tensors[name][meets].double() for name in names)
        pairs = tensors["pairs"][meets]
        placed, residual = place_frames(seen, pairs, first, second, weights[0], weights[1])
    scale, R, t = split(placed)
    depth = scale[:, None] * seen[..., 2]
    unit = 1 / depth[depth > 0].median()
    poses = torch.eye(4, dtype=torch.float64).repeat(len(seen), 1, 1)
    poses[:, :3, :3], poses[:, :3, 3] = R, unit * t
    return {
        "world_from_camera": poses.numpy(),
        "scale": (unit * scale).numpy(),
        "intrinsics": intrinsics,
        "focal_sigma": np.array(sigma),
        "residual": residual.numpy(),
    }


def _lens(
    clip: Clip,
    uv: Float[Tensor, "M 2"],
    points: Float[Tensor, "N M 3"],
    weight: Float[Tensor, "N M"],
) -> tuple[Float64[np.ndarray, "N 3 3"], float]:
    """Intrinsics as they were told, else as the points have them; and one sigma of the focal."""
    count, height, width = clip.frames.shape[:3]
    if clip.known_intrinsics is not None:
        return np.array(clip.known_intrinsics), 0.0
    if clip.intrinsics is not None:
        given = clip.intrinsics_source == "given"
        sigma = 0.0 if given else _METADATA_SIGMA * float(clip.intrinsics[0, 0])
        return np.repeat(clip.intrinsics[None], count, axis=0), sigma
    centre = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    focal, sigma = focal_length(uv, points, weight, centre)
    if not focal > 0:
        raise ReconstructionError("no lens has the network's points where it puts them")
    matrix = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return np.repeat(matrix[None], count, axis=0), sigma


def _scene(clip: Clip, told: Arrays, solved: Arrays, weights: dict[str, Any]) -> Scene:
    count, height, width = clip.frames.shape[:3]
    depth = told["own"][..., 2] * solved["scale"][:, None, None].astype(np.float32)
    motion: MotionField = StillField(height, width)
    dynamic = np.zeros((count, height, width), np.float32)
    if "moved" in told:
        motion, dynamic = _field(told, solved), _mobility(told)
    if clip.known_dynamic is not None:
        dynamic = np.where(np.isfinite(clip.known_dynamic), clip.known_dynamic, dynamic)
    return Scene(
        frames=clip.frames,
        times=clip.times,
        cameras=Cameras(
            np.array(solved["world_from_camera"]),
            np.array(solved["intrinsics"]),
            np.ones(count, bool),
            np.full(count, float(solved["focal_sigma"])),
            "free" if count > 1 else "unknown",
            clip.distortion,
        ),
        depth=np.where(depth > 0, depth, np.float32(np.nan)),
        confidence=told["confidence"] - 1,
        dynamic=dynamic,
        motion=motion,
        original_size=clip.original_size,
        provenance={
            **weights,
            "pairs": len(told["pairs"]),
            "warnings": _warnings(clip, solved),
        },
    )


def _field(told: Arrays, solved: Arrays) -> PairField:
    order = np.lexsort(told["pairs"].T[::-1])
    pairs = told["pairs"][order]
    scale = solved["scale"][pairs[:, 0], None, None, None].astype(np.float16)
    rotation = np.array(solved["world_from_camera"][:, :3, :3], np.float32)
    return PairField(pairs, told["moved"][order] * scale, rotation)


def _mobility(told: Arrays) -> Float32[np.ndarray, "N H W"]:
    """How likely each pixel moves: by its longest way, beside the ways that most pixels have."""
    own, source = told["own"], told["pairs"][:, 0]
    mobility = np.zeros(own.shape[:3], np.float32)
    for i in range(len(own)):
        moved = told["moved"][source == i].astype(np.float32)
        way = np.linalg.norm(moved, axis=-1).max(axis=0) / np.linalg.norm(own[i], axis=-1)
        mobility[i] = way**2 / (way**2 + (_NOISE * np.median(way) + _LEAST) ** 2)
    return mobility


def _warnings(clip: Clip, solved: Arrays) -> list[str]:
    warnings = []
    if clip.known_poses is not None or clip.known_depth is not None:
        warnings.append("this system takes no known cameras or depth: they were not used")
    if len(solved["residual"]) and np.median(solved["residual"]) > 0.1:
        warnings.append("the network's pairs do not agree on one world: do not trust this scene")
    return warnings
