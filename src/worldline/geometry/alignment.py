"""The similarity that best maps one set of points onto another; any leading batch shape."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.errors import InputError
from worldline.geometry.projection import rigid

_CAUCHY = 2.3849 * 1.4826  # of the median residual: 95 % as good as least squares on normal noise


def umeyama(
    source: Float[Tensor, "*b M 3"],
    target: Float[Tensor, "*b K 3"],
    weights: Float[Tensor, "*b M"] | None = None,
    with_scale: bool = True,
) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b 3 3"], Float[Tensor, "*b 3"]]:
    """Least-squares ``(scale, R, t)`` with ``target ≈ scale * R @ source + t`` (Umeyama 1991).

    ``R`` is a rotation even where a mirror image would fit better, and ``scale`` is the best one
    for that rotation: the smallest singular value then counts negatively (eqs. 40 to 42).
    ``weights`` [M] >= 0 are relative. Without ``with_scale`` the scale is 1. Points that leave the
    rotation open (all in a line, or one point) get one of the best rotations.

    Raises ``InputError`` for no points, K other than M, weights that are all zero, or coinciding
    source points where a scale is asked for.
    """
    if source.shape != target.shape or source.shape[-2] == 0:
        raise InputError(
            f"Alignment pairs points one to one; got {source.shape[-2]} and {target.shape[-2]}."
        )
    weights = torch.ones_like(source[..., 0]) if weights is None else weights
    if not ((weights.sum(dim=-1) > 0).all() and (weights >= 0).all()):
        raise InputError("Alignment weights must be >= 0 and not all zero.")
    share = (weights / weights.sum(dim=-1, keepdim=True))[..., None]
    source_mean = (share * source).sum(dim=-2, keepdim=True)
    target_mean = (share * target).sum(dim=-2, keepdim=True)
    x, y = source - source_mean, target - target_mean
    U, D, Vt = torch.linalg.svd((share * y).mT @ x)
    mirror = torch.ones_like(D)
    mirror[..., 2] = torch.sign(torch.linalg.det(U) * torch.linalg.det(Vt))
    R = (U * mirror[..., None, :]) @ Vt
    scale = torch.ones_like(D[..., 0])
    if with_scale:
        scale = _scale((D * mirror).sum(dim=-1), share, x)
    moved = scale[..., None, None] * source_mean @ R.mT
    return scale, R, (target_mean - moved)[..., 0, :]


def robust_similarity(
    source: Float[Tensor, "*b M 3"],
    target: Float[Tensor, "*b M 3"],
    weights: Float[Tensor, "*b M"],
    rounds: int = 20,
) -> tuple[Float[Tensor, "*b 4 4"], Float[Tensor, "*b"]]:
    """The similarity that fits most of the points: least squares, reweighted by Cauchy's loss.

    weights: inverse variances of the targets, up to a factor; 0 leaves a point out.
    Returns ``target_from_source`` (a scaled rotation and a translation) and the median residual in
    standard deviations of a weight of 1. Raises ``InputError`` as `umeyama` does.
    """
    current, median = weights, weights[..., 0]
    for _ in range(rounds):
        scale, R, t = umeyama(source, target, current)
        moved = scale[..., None, None] * source @ R.mT + t[..., None, :]
        residual = weights.sqrt() * (moved - target).norm(dim=-1)
        median = residual.masked_fill(weights == 0, torch.nan).nanmedian(dim=-1).values
        least = torch.finfo(residual.dtype).tiny ** 0.5  # an exact fit keeps all its points
        current = weights / (1 + (residual / (_CAUCHY * median[..., None] + least)).square())
    return similarity(scale, R, t), median


def similarity(
    scale: Float[Tensor, "*b"], R: Float[Tensor, "*b 3 3"], t: Float[Tensor, "*b 3"]
) -> Float[Tensor, "*b 4 4"]:
    """The 4x4 matrix of ``x -> scale * R @ x + t``."""
    return rigid(scale[..., None, None] * R, t)


def _scale(covariance: Tensor, share: Tensor, centred: Tensor) -> Float[Tensor, "*b"]:
    variance = (share * centred.square()).sum(dim=(-1, -2))
    if not (variance > 0).all():
        raise InputError("The source points coincide, so their scale cannot be aligned.")
    return covariance / variance
