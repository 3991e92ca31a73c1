"""The aleatoric loss that 4RC, Complet4R and VGGT share: errors weighed by how sure one is.

l(y^, y, S) = S ||y^ - y|| - alpha log S    (DUSt3R, eq. 4; 4RC, section 3.4; VGGT, section 3.3)

S > 0 is the predicted confidence: where it is high, errors count, and being high is rewarded.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

ALPHA = 0.2  # VGGT's


def aleatoric(
    residual: Float[Tensor, "*shape C"],
    confidence: Float[Tensor, "*shape"],
    valid: Bool[Tensor, "*shape"],
    alpha: float = ALPHA,
) -> Float[Tensor, ""]:
    """l, meaned over what is valid; `residual` is y^ - y."""
    return mean_where(confidence * length(residual) - alpha * confidence.log(), valid)


def aleatoric_of_gradients(
    residual: Float[Tensor, "*b H W C"],
    confidence: Float[Tensor, "*b H W"],
    valid: Bool[Tensor, "*b H W"],
    alpha: float = ALPHA,
) -> Float[Tensor, ""]:
    """l of the image gradients: of differences to the pixel on the right and to the one below.

    A difference is valid where both of its pixels are.
    """
    terms = []
    for axis in (-2, -3):  # columns, rows
        near, far = _pair(residual, axis)
        both = torch.logical_and(*_pair(valid, axis + 1))
        sure = _pair(confidence, axis + 1)[0]
        terms.append(aleatoric(far - near, sure, both, alpha))
    return (terms[0] + terms[1]) / 2


def difference(
    predicted: Float[Tensor, "*more C"],
    truth: Float[Tensor, "*shape C"],
    valid: Bool[Tensor, "*shape"],
) -> Float[Tensor, "*more C"]:
    """predicted - truth, and zero where the truth is unknown: NaN must not reach a gradient."""
    return torch.where(valid[..., None], predicted - truth, 0)


def length(vector: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape"]:
    """Euclidean norm whose gradient at zero is zero."""
    square = vector.square().sum(dim=-1)
    there = square > 0
    return torch.where(there, torch.where(there, square, 1).sqrt(), 0)


def mean_where(values: Float[Tensor, "*shape"], valid: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """The mean over what is valid, whatever the rest holds; zero if nothing is."""
    kept = torch.where(valid, values, 0)
    return kept.sum() / valid.sum().clamp_min(1)


def _pair(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Neighbours along an axis."""
    count = x.shape[axis] - 1
    return x.narrow(axis, 0, count), x.narrow(axis, 1, count)
