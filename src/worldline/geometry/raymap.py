"""Ray maps: one viewing ray for each pixel, and the cameras that such a map stands for.

A ray map holds, for each pixel, a direction and an origin (3 + 3 numbers) in world coordinates,
OpenCV axes. The direction is `R K^-1 (u, v, 1)`, not normalised, so that a z-depth times it is the
way from the camera's centre to the point. The centre of the top-left pixel is (0.5, 0.5).
Networks predict noisy ray maps (Depth Anything 3, Lin et al. 2025, section 3.2; 4RC); a camera is
the homography from pixels to directions that most of the confident rays agree on.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from worldline.errors import InputError
from worldline.geometry.projection import pixel_grid, rays, rigid
from worldline.threads import one_thread

HYPOTHESES = 100  # of RANSAC, as published
SAMPLES = 8  # rays that make one hypothesis
CANDIDATES = 0.3  # share of the rays, the most confident ones, that samples are drawn from
INLIER = 0.2  # distance on the plane at depth 1
_PARALLEL = 1e-4  # directions this close to the plane meet it nowhere
_AT_ONCE = 1 << 17  # pairs of a hypothesis and a ray at one time: what caches hold


def ray_map(
    intrinsics: Float[Tensor, "*b 3 3"],
    world_from_camera: Float[Tensor, "*b 4 4"],
    height: int,
    width: int,
) -> Float[Tensor, "*b H W 6"]:
    """The ray map of known cameras. `intrinsics` are in pixels of a `height` x `width` picture."""
    uv = pixel_grid(height, width, device=intrinsics.device, dtype=intrinsics.dtype).flatten(0, 1)
    uv = uv.expand(*intrinsics.shape[:-2], -1, 2)
    direction = rays(uv, intrinsics) @ world_from_camera[..., :3, :3].mT
    origin = world_from_camera[..., None, :3, 3].expand_as(direction)
    return torch.cat([direction, origin], dim=-1).unflatten(-2, (height, width))


def points_on_rays(
    rays_of: Float[Tensor, "*b H W 6"], depth: Float[Tensor, "*b H W"]
) -> Float[Tensor, "*b H W 3"]:
    """World points at z-depths along a ray map: origin + depth * direction."""
    return rays_of[..., 3:] + depth[..., None] * rays_of[..., :3]


def cameras_from_rays(
    rays_of: Float[Tensor, "*b H W 6"],
    confidence: Float[Tensor, "*b H W"],
    size: tuple[int, int] | None = None,
    *,
    centred: bool = False,
    seed: int = 0,
) -> tuple[Float[Tensor, "*b 3 3"], Float[Tensor, "*b 4 4"]]:
    """Intrinsics and world-from-camera poses that ray maps stand for.

    confidence: weight >= 0 of each ray, not all zero.
    size: height and width of the picture whose pixels the intrinsics are in; left out: the map's.
    centred: the principal point is known to be the picture's centre. Noise of the rays then harms
        rotations five times less, because it no longer looks like another principal point.
    seed: of the random samples.

    Directions are first turned so that their mean looks along z: a view may look anywhere,
    backwards too. The skew that noise brings into `K` is dropped. Computed in double precision.

    Raises InputError for maps of fewer than 8 rays and for rays or weights that are not finite.
    """
    _check(rays_of, confidence)
    turned = _towards_mean(rays_of, confidence)
    homography, centre = _fit(rays_of, confidence, turned, seed)
    if centred:
        camera, rotation = _by_lower(turned @ homography)
        camera[..., :2, 2] = 0.0
    else:
        camera, rotation = _by_upper(turned @ homography)
    return _cameras(camera, rotation, centre, rays_of, size)


def published_cameras_from_rays(
    rays_of: Float[Tensor, "*b H W 6"],
    confidence: Float[Tensor, "*b H W"],
    size: tuple[int, int] | None = None,
    *,
    seed: int = 0,
) -> tuple[Float[Tensor, "*b 3 3"], Float[Tensor, "*b 4 4"]]:
    """`cameras_from_rays` as Depth Anything 3 and 4RC publish it; for comparison with them.

    Right only where the principal point is the picture's centre, yet it returns another: elsewhere
    focal lengths, principal point and rotation are all off. Directions are divided by their z in
    the world's frame, which multiplies the noise of views that look across it.
    """
    _check(rays_of, confidence)
    identity = torch.eye(3, dtype=torch.float64, device=rays_of.device)
    homography, centre = _fit(rays_of, confidence, identity, seed)
    return _cameras(*_by_lower(homography), centre, rays_of, size)


def _by_upper(
    homography: Float[Tensor, "*b 3 3"],
) -> tuple[Float[Tensor, "*b 3 3"], Float[Tensor, "*b 3 3"]]:
    """Camera matrix and rotation of `R K^-1`: a rotation times an upper triangular matrix."""
    rotation, upper = torch.linalg.qr(_proper(homography))
    signs = upper.diagonal(dim1=-2, dim2=-1).sign()
    camera = torch.linalg.inv(signs[..., None] * upper)
    camera = camera / camera[..., 2:, 2:]
    camera[..., 0, 1] = 0.0
    return camera, rotation * signs[..., None, :]


def _by_lower(
    homography: Float[Tensor, "*b 3 3"],
) -> tuple[Float[Tensor, "*b 3 3"], Float[Tensor, "*b 3 3"]]:
    """The same of a rotation times a LOWER triangular matrix: the picture's centre is looked at.

    That is `R K^-1` where the principal point is the centre and the lower triangle is empty.
    What it holds nevertheless is published as the principal point.
    """
    # QR of the matrix with its columns in reverse order, put back, is its QL decomposition.
    rotation, upper = torch.linalg.qr(_proper(homography).flip(-1))
    rotation, lower = rotation.flip(-1), upper.flip(-1, -2)
    signs = lower.diagonal(dim1=-2, dim2=-1).sign()
    lower = lower * signs[..., None]
    lower = lower / lower[..., 2:, 2:]
    camera = torch.diag_embed(1.0 / lower.diagonal(dim1=-2, dim2=-1))
    camera[..., :2, 2] = lower[..., 2, :2]
    return camera, rotation * signs[..., None, :]


@one_thread()
def _fit(
    rays_of: Tensor, confidence: Tensor, turned: Tensor, seed: int
) -> tuple[Float[Tensor, "*b 3 3"], Float[Tensor, "*b 3"]]:
    """Homographies from pixels to `turned^T` directions, by RANSAC, and the mean origins.

    Pixels are in half pictures from the centre, so that the picture is [-1, 1] x [-1, 1].
    """
    *batch, height, width, _ = rays_of.shape
    maps = rays_of.double().reshape(-1, height * width, 6)
    weight = confidence.double().reshape(-1, height * width)
    direction = maps[..., :3] @ turned.expand(*batch, 3, 3).reshape(-1, 3, 3)
    z = direction[..., 2:]
    meets = z.abs() > _PARALLEL
    target = direction[..., :2] / torch.where(meets, z, torch.ones_like(z))
    weight = weight * meets[..., 0]
    half = maps.new_tensor([width / 2, height / 2])
    source = pixel_grid(height, width, device=maps.device, dtype=maps.dtype) / half - 1.0
    source = source.flatten(0, 1)[None]
    homography = _ransac(source, target, weight, _samples(weight, seed))
    centre = (maps[..., 3:] * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
    return homography.view(*batch, 3, 3), centre.view(*batch, 3)


def _check(rays_of: Tensor, confidence: Tensor) -> None:
    height, width = rays_of.shape[-3:-1]
    if height * width < SAMPLES:
        raise InputError(f"a ray map of {height} x {width} has too few rays for a camera.")
    if not (torch.isfinite(rays_of).all() and torch.isfinite(confidence).all()):
        raise InputError("ray maps and their confidence must be finite numbers.")
    if not (confidence >= 0).all() or not (confidence.sum(dim=(-2, -1)) > 0).all():
        raise InputError("the confidence of rays must be >= 0 and not all zero.")


def _towards_mean(rays_of: Tensor, confidence: Tensor) -> Float[Tensor, "*b 3 3"]:
    """Orthogonal matrices whose last column is the mean direction (or its opposite)."""
    unit = torch.nn.functional.normalize(rays_of[..., :3].double(), dim=-1)
    mean = (unit * confidence.double()[..., None]).sum(dim=(-3, -2))
    basis, _ = torch.linalg.qr(mean[..., None], mode="complete")
    return basis.flip(-1)


def _samples(weight: Float[Tensor, "B M"], seed: int) -> Int[Tensor, "B J 8"]:
    """Rays of each hypothesis: distinct ones, of the most confident."""
    count = max(SAMPLES, int(weight.shape[1] * CANDIDATES))
    candidates = weight.argsort(dim=1, descending=True)[:, :count]
    # drawn on the CPU, so that all devices draw the same
    lots = torch.rand(HYPOTHESES, count, generator=torch.Generator().manual_seed(seed))
    return candidates[:, lots.topk(SAMPLES, dim=1).indices.to(weight.device)]


def _ransac(
    source: Float[Tensor, "1 M 2"],
    target: Float[Tensor, "B M 2"],
    weight: Float[Tensor, "B M"],
    samples: Int[Tensor, "B J 8"],
) -> Float[Tensor, "B 3 3"]:
    """The homography fitted to all inliers of the hypothesis with the heaviest inliers."""
    views = torch.arange(len(target), device=target.device)
    drawn = views[:, None, None]
    hypotheses = _homography(source[0, samples], target[drawn, samples], weight[drawn, samples])
    scores = _scores(source, target, weight, hypotheses)
    best = hypotheses[views, scores.argmax(dim=1)]
    return _homography(source, target, weight * _inliers(source, target, best[:, None])[:, 0])


def _scores(
    source: Float[Tensor, "1 M 2"],
    target: Float[Tensor, "B M 2"],
    weight: Float[Tensor, "B M"],
    hypotheses: Float[Tensor, "B J 3 3"],
) -> Float[Tensor, "B J"]:
    """The weight of each hypothesis' inliers, some rays after the others."""
    scores = torch.zeros_like(hypotheses[..., 0, 0])
    some = max(1, _AT_ONCE // scores.numel())
    parts = (part.split(some, dim=1) for part in (source, target, weight))
    for p, q, w in zip(*parts, strict=True):
        scores += (_inliers(p, q, hypotheses) * w[:, None]).sum(dim=2)
    return scores


def _inliers(
    source: Float[Tensor, "1 M 2"],
    target: Float[Tensor, "B M 2"],
    homography: Float[Tensor, "B J 3 3"],
) -> Bool[Tensor, "B J M"]:
    """Which points each homography moves to within the threshold of their targets."""
    p = torch.cat([source, torch.ones_like(source[..., :1])], dim=-1).mT
    x, y, z = (homography @ p[:, None]).unbind(dim=-2)
    u, v = target[:, None].unbind(dim=-1)
    # both sides times z, so that nothing is divided
    return (x - u * z).square() + (y - v * z).square() < (INLIER * z).square()


def _homography(
    source: Float[Tensor, "*#b M 2"], target: Float[Tensor, "*b M 2"], weight: Float[Tensor, "*b M"]
) -> Float[Tensor, "*b 3 3"]:
    """Weighted direct linear transform (Hartley and Zisserman, section 4.1).

    By the smallest eigenvector of the 9 x 9 normal matrix, summed over all points at once.
    """
    p = torch.cat([source, torch.ones_like(source[..., :1])], dim=-1).expand(*target.shape[:-1], 3)
    q = (p * weight[..., None]).mT  # [...,3,M]
    x, y = target[..., :1], target[..., 1:]
    one, by_x, by_y, by_both = q @ p, q @ (x * p), q @ (y * p), q @ ((x**2 + y**2) * p)
    zero = torch.zeros_like(one)
    rows = (
        torch.cat([one, zero, -by_x], dim=-1),
        torch.cat([zero, one, -by_y], dim=-1),
        torch.cat([-by_x, -by_y, by_both], dim=-1),
    )
    _, vectors = torch.linalg.eigh(torch.cat(rows, dim=-2))
    return vectors[..., 0].unflatten(-1, (3, 3))


def _proper(homography: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
    """The sign of a homography for which it does not mirror."""
    return homography * torch.linalg.det(homography).sign()[..., None, None]


def _cameras(
    camera: Tensor, rotation: Tensor, centre: Tensor, rays_of: Tensor, size: tuple[int, int] | None
) -> tuple[Float[Tensor, "*b 3 3"], Float[Tensor, "*b 4 4"]]:
    """From half pictures around the centre to pixels, and to the dtype of the rays."""
    height, width = size or rays_of.shape[-3:-1]
    to_pixels = camera.new_tensor(
        [[width / 2, 0, width / 2], [0, height / 2, height / 2], [0, 0, 1]]
    )
    return (to_pixels @ camera).to(rays_of.dtype), rigid(rotation, centre).to(rays_of.dtype)
