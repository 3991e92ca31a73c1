"""One focal length for a clip, from where its frames' points are (Weiszfeld, as in DUSt3R)."""

import torch
from jaxtyping import Float
from torch import Tensor

from worldline.threads import one_thread

_ROUNDS = 50


@one_thread()
def focal_length(
    uv: Float[Tensor, "M 2"],
    points: Float[Tensor, "N M 3"],
    weights: Float[Tensor, "N M"],
    centre: Float[Tensor, "2"],
) -> tuple[float, float]:
    """The focal length in pixels with the least sum of distances, and one sigma of it.

    uv: pixels of every frame's points, which are in its camera's axes; the lens is the same for
    all, its pixels are square. Sigma is from how the frames differ; NaN for a single one. Points
    at or behind the camera do not count.
    """
    seen = weights * (points[..., 2] > 0)
    slope = points[..., :2] / points[..., 2:].clamp_min(1e-9)
    pixels = (uv - centre).expand_as(slope)
    each = _least(pixels, slope, seen)
    focal = _least(pixels.flatten(0, 1)[None], slope.flatten(0, 1)[None], seen.flatten()[None])
    spread = 1.4826 * (each - focal).abs().median() if len(each) > 1 else torch.tensor(torch.nan)
    return float(focal), float(spread / len(each) ** 0.5)


def _least(
    pixels: Float[Tensor, "N M 2"], slope: Float[Tensor, "N M 2"], weights: Float[Tensor, "N M"]
) -> Float[Tensor, " N"]:
    """argmin_f sum w |pixels - f slope|, by least squares reweighted with inverse distances."""
    along, square = (pixels * slope).sum(dim=-1), slope.square().sum(dim=-1)
    share = weights
    for _ in range(_ROUNDS):
        focal = (share * along).sum(dim=1) / (share * square).sum(dim=1).clamp_min(1e-12)
        far = (pixels - focal[:, None, None] * slope).norm(dim=-1)
        share = weights / far.clamp_min(1e-3)
    return focal
