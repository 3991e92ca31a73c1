"""A clip at the size that a network wants: the working size of the scene it makes."""

from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from worldline.io.clip import Clip
from worldline.nn.dino import IMAGENET_MEAN, IMAGENET_STD


def fitted(clip: Clip, patch: int, longest: int) -> Clip:
    """The clip with sides that are multiples of `patch`, none above `longest`.

    Everything that is known in pixels goes along. No side grows beyond the next multiple.
    """
    height, width = clip.frames.shape[1:3]
    shrink = min(1.0, longest / max(height, width))
    size = _multiple(width * shrink, patch, longest), _multiple(height * shrink, patch, longest)
    if size == (width, height):
        return clip
    scale = np.array([*np.divide(size, (width, height)), 1.0])

    def lens(K: np.ndarray | None) -> np.ndarray | None:
        return None if K is None else K * scale[:, None]

    def maps(known: np.ndarray | None) -> np.ndarray | None:
        return None if known is None else _resized(known, size, cv2.INTER_NEAREST)

    return replace(
        clip,
        frames=_resized(clip.frames, size, cv2.INTER_AREA),
        intrinsics=lens(clip.intrinsics),
        known_intrinsics=lens(clip.known_intrinsics),
        known_depth=maps(clip.known_depth),
        known_dynamic=maps(clip.known_dynamic),
    )


def images(
    frames: UInt8[np.ndarray, "N H W 3"], device: torch.device, *, imagenet: bool = False
) -> Float[Tensor, "1 N 3 H W"]:
    """Frames as a network's input, in [0,1]; with `imagenet`, normalised as for ImageNet."""
    pixels = torch.from_numpy(np.array(frames))
    if device.type == "cuda":
        pixels = pixels.pin_memory()  # copied while the first kernels are queued
    pixels = pixels.to(device, non_blocking=True)
    scaled = pixels.permute(0, 3, 1, 2).float() / 255
    if imagenet:
        mean = scaled.new_tensor(IMAGENET_MEAN)[:, None, None]
        scaled = (scaled - mean) / scaled.new_tensor(IMAGENET_STD)[:, None, None]
    return scaled[None]


def unused(clip: Clip, system: str, *, cameras: bool = True) -> list[str]:
    """A warning of what was given but is not used; `cameras`: whether they are among that."""
    given = {
        "cameras": cameras and clip.known_poses is not None,
        "depth": clip.known_depth is not None,
        "masks": clip.known_dynamic is not None,
    }
    names = [name for name, there in given.items() if there]
    return [f"known {' and '.join(names)} are not used by {system}"] if names else []


def _multiple(side: float, patch: int, longest: int) -> int:
    return int(np.clip(round(side / patch), 1, longest // patch)) * patch


def _resized(maps: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    return np.stack([cv2.resize(one, size, interpolation=how) for one in maps])
