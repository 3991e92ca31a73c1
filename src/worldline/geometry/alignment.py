"""The similarity that best maps one set of points onto another."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.errors import InputError


def umeyama(
    source: Float[Tensor, "M 3"],
    target: Float[Tensor, "K 3"],
    weights: Float[Tensor, " M"] | None = None,
    with_scale: bool = True,
) -> tuple[Float[Tensor, ""], Float[Tensor, "3 3"], Float[Tensor, "3"]]:
    """Least-squares ``(scale, R, t)`` with ``target ≈ scale * R @ source + t`` (Umeyama 1991).

    ``R`` is a rotation even where a mirror image would fit better, and ``scale`` is the best one
    for that rotation: the smallest singular value then counts negatively (eqs. 40 to 42).
    ``weights`` [M] >= 0 are relative. Without ``with_scale`` the scale is 1. Points that leave the
    rotation open (all in a line, or one point) get one of the best rotations.

    Raises ``InputError`` for no points, K other than M, weights that are all zero, or coinciding
    source points where a scale is asked for.
    """
    if source.shape != target.shape or len(source) == 0:
        raise InputError(f"Alignment pairs points one to one; got {len(source)} and {len(target)}.")
    weights = torch.ones_like(source[:, 0]) if weights is None else weights
    if not (weights.sum() > 0 and (weights >= 0).all()):
        raise InputError("Alignment weights must be >= 0 and not all zero.")
    share = (weights / weights.sum())[:, None]
    source_mean, target_mean = (share * source).sum(dim=0), (share * target).sum(dim=0)
    x, y = source - source_mean, target - target_mean
    U, D, Vt = torch.linalg.svd((share * y).mT @ x)
    mirror = torch.ones_like(D)
    mirror[2] = torch.sign(torch.linalg.det(U) * torch.linalg.det(Vt))
    R = (U * mirror) @ Vt
    scale = _scale((D * mirror).sum(), share, x) if with_scale else torch.ones_like(D[0])
    return scale, R, target_mean - scale * (R @ source_mean)


def _scale(covariance: Tensor, share: Tensor, centred: Tensor) -> Float[Tensor, ""]:
    variance = (share * centred.square()).sum()
    if not variance > 0:
        raise InputError("The source points coincide, so their scale cannot be aligned.")
    return covariance / variance
