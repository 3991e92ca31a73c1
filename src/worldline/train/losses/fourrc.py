"""4RC's training objective (section 3.4, eq. 6-8).

L = L_depth + L_ray + L_cam + L_motion                                        eq. 6
L_depth  = l(D^, D, S_D) + l(grad_x D^, grad_x D, S_D)                        eq. 7
L_motion = l(dP^, dP, S_M) + l(grad_t dP^, grad_t dP, S_M)                    eq. 8

l is aleatoric. The paper gives no formula for L_ray and L_cam: l on the ray map, and the mean
absolute difference of the nine numbers of a camera, as Depth Anything 3 describes them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from worldline.train.losses.aleatoric import (
    ALPHA,
    aleatoric,
    aleatoric_of_gradients,
    difference,
    length,
    mean_where,
)


@dataclass(frozen=True)
class Supervision:
    """Which points motion is learnt from (4RC, appendix).

    All of them in a share `everywhere` of the steps; else those that are displaced the most, a
    share of them that is drawn between `least` and `most`.
    """

    everywhere: float = 0.2
    least: float = 0.2
    most: float = 0.3


def scene_scale(
    points: Float[Tensor, "B S H W 3"], valid: Bool[Tensor, "B S H W"]
) -> Float[Tensor, " B"]:
    """Mean distance of a clip's valid points to the origin; dividing by it normalises the scene.

    1 where nothing is valid.
    """
    count = valid.flatten(1).sum(dim=1)
    total = torch.where(valid, length(points), 0).flatten(1).sum(dim=1)
    return torch.where(count > 0, total / count.clamp_min(1), 1).clamp_min(1e-6)


def depth_loss(
    predicted: Float[Tensor, "B S H W"],
    truth: Float[Tensor, "B S H W"],
    confidence: Float[Tensor, "B S H W"],
    valid: Bool[Tensor, "B S H W"],
    alpha: float = ALPHA,
) -> Float[Tensor, ""]:
    """Eq. 7."""
    residual = difference(predicted[..., None], truth[..., None], valid)
    gradients = aleatoric_of_gradients(residual, confidence, valid, alpha)
    return aleatoric(residual, confidence, valid, alpha) + gradients


def ray_loss(
    predicted: Float[Tensor, "B S h w 6"],
    truth: Float[Tensor, "B S h w 6"],
    confidence: Float[Tensor, "B S h w"],
    alpha: float = ALPHA,
) -> Float[Tensor, ""]:
    """L_ray: rays are known wherever cameras are."""
    everywhere = torch.ones_like(confidence, dtype=torch.bool)
    return aleatoric(predicted - truth, confidence, everywhere, alpha)


def camera_loss(
    predicted: Float[Tensor, "B S 9"],
    truth: Float[Tensor, "B S 9"],
    known: Bool[Tensor, "B S"],
) -> Float[Tensor, ""]:
    """L_cam: mean absolute difference of translation, quaternion and fields of view."""
    return mean_where(difference(predicted, truth, known).abs().mean(dim=-1), known)


def motion_loss(
    predicted: Float[Tensor, "B T H W 3"],
    truth: Float[Tensor, "B T H W 3"],
    confidence: Float[Tensor, "B T H W"],
    valid: Bool[Tensor, "B T H W"],
    alpha: float = ALPHA,
) -> Float[Tensor, ""]:
    """Eq. 8, for one source frame at all times in order; the gradient is that from time to time."""
    residual = difference(predicted, truth, valid)
    loss = aleatoric(residual, confidence, valid, alpha)
    if residual.shape[1] == 1:
        return loss
    velocity = residual[:, 1:] - residual[:, :-1]
    both = valid[:, 1:] & valid[:, :-1]
    return loss + aleatoric(velocity, confidence[:, 1:], both, alpha)


def supervised(
    displacement: Float[Tensor, "B T H W 3"],
    valid: Bool[Tensor, "B T H W"],
    generator: torch.Generator,
    choice: Supervision = Supervision(),
) -> Bool[Tensor, "B T H W"]:
    """Where motion is learnt from in this step: everywhere, or only what moves the most.

    A point counts by its largest displacement at any time, and is taken at all times.
    """
    everywhere, share = torch.rand(2, generator=generator).tolist()
    if everywhere < choice.everywhere:
        return valid
    share = choice.least + share * (choice.most - choice.least)
    furthest = torch.where(valid, length(displacement), -1).amax(dim=1).flatten(1)  # [B,HW]
    count = (furthest >= 0).sum(dim=1)
    rank = furthest.argsort(dim=1, descending=True).argsort(dim=1)
    moving = rank < (share * count).ceil()[:, None]
    return valid & moving.unflatten(1, valid.shape[2:])[:, None]
