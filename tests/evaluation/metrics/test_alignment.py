import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from worldline.errors import InputError
from worldline.geometry.alignment import robust_similarity, umeyama


def some(seed: int, count: int = 10):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    Q, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    return points, Q * torch.linalg.det(Q).sign(), torch.randn(3, generator=generator).double()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_recovers_a_similarity(seed, scale):
    points, R, t = some(seed)
    found_scale, found_R, found_t = umeyama(points, scale * points @ R.mT + t)
    assert found_scale.item() == pytest.approx(scale)
    assert torch.allclose(found_R, R) and torch.allclose(found_t, t)


def test_a_mirror_image_gets_a_rotation_and_its_best_scale():
    points, _, _ = some(0, 20)
    mirrored = points * torch.tensor([1.0, 1.0, -1.0])
    scale, R, t = umeyama(points, mirrored)
    assert torch.linalg.det(R).item() == pytest.approx(1)

    def cost(factor: torch.Tensor):
        centred = factor * (points - points.mean(0)) @ R.mT + mirrored.mean(0)
        return (centred - mirrored).square().sum()

    assert torch.allclose(t, mirrored.mean(0) - scale * R @ points.mean(0))
    assert cost(scale) < min(cost(scale * 0.99), cost(scale * 1.01))


def test_weights_repeat_points_and_zero_drops_them():
    points, R, t = some(1, 6)
    target = points @ R.mT + t + 0.1 * some(2, 6)[0]
    weights = torch.tensor([2.0, 1, 1, 1, 1, 0]).double()
    repeated = torch.tensor([0, 0, 1, 2, 3, 4])
    for a, b in zip(
        umeyama(points, target, weights), umeyama(points[repeated], target[repeated]), strict=True
    ):
        assert torch.allclose(a, b)


def test_flat_and_rigid_alignments():
    points, R, t = some(3)
    points[:, 2] = 0
    scale, found_R, _ = umeyama(points, 2 * points @ R.mT + t)
    assert scale.item() == pytest.approx(2) and torch.allclose(found_R, R)
    scale, found_R, _ = umeyama(points, 2 * points @ R.mT + t, with_scale=False)
    assert scale.item() == 1 and torch.allclose(found_R, R)


def test_what_cannot_be_aligned_is_refused():
    points, _, _ = some(4)
    with pytest.raises(InputError, match="coincide"):
        umeyama(torch.zeros(5, 3), torch.ones(5, 3))
    with pytest.raises(InputError, match="weights"):
        umeyama(points, points, weights=torch.zeros(10).double())
    with pytest.raises(InputError, match="one to one"):
        umeyama(torch.zeros(0, 3), torch.zeros(0, 3))


def test_batches_are_aligned_one_by_one():
    sets = [some(seed) for seed in range(3)]
    points = torch.stack([points for points, _, _ in sets])
    targets = torch.stack([2 * points @ R.mT + t + 0.1 * points.sin() for points, R, t in sets])
    together = umeyama(points, targets)
    for k, (points_k, target) in enumerate(zip(points, targets, strict=True)):
        for many, one in zip(together, umeyama(points_k, target), strict=True):
            assert torch.allclose(many[k], one)


def test_a_robust_similarity_follows_most_of_the_points():
    points, R, t = some(5, 60)
    target = 3 * points @ R.mT + t
    target[:20] += 5 * some(6, 20)[0]
    matrix, residual = robust_similarity(points, target, torch.ones(60).double())
    assert torch.allclose(matrix[:3, :3], 3 * R, atol=1e-6)
    assert torch.allclose(matrix[:3, 3], t, atol=1e-6) and residual < 1e-6
    weights = torch.ones(60).double()
    weights[20:] = 0
    assert not torch.allclose(robust_similarity(points, target, weights)[0], matrix, atol=0.1)
