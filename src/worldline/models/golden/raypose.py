"""Golden vectors of the cameras that ray maps stand for, as published."""

import torch
from torch import Tensor

from worldline.geometry.projection import invert
from worldline.geometry.raymap import published_cameras_from_rays
from worldline.models.golden.vectors import Golden


def run(golden: Golden) -> dict[str, Tensor]:
    """Poses and lenses of all cases; `focal` and `pp` in half pictures, `intrinsics` in pixels."""
    height, width = golden.description["image_size"]
    computed: dict[str, Tensor] = {}
    for case in sorted({name.split(".")[0] for name in golden.inputs}):
        rays_of, confidence = golden.inputs[f"{case}.ray"], golden.inputs[f"{case}.ray_conf"]
        K, pose = published_cameras_from_rays(rays_of, confidence, (height, width))
        half = torch.tensor([width / 2, height / 2])
        computed |= {
            f"out.{case}.c2w": pose,
            f"out.{case}.w2c": invert(pose),
            f"out.{case}.focal": K[..., [0, 1], [0, 1]] / half,
            f"out.{case}.pp": K[..., :2, 2] / half,
            f"out.{case}.intrinsics": K,
        }
    return computed
