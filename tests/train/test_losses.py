"""Protects that losses are the papers' formulas, know what is unknown, and lead to the truth."""

import math

import pytest
import torch

from worldline.train.losses import complet4r, flow, fourrc, tracks, vggt
from worldline.train.losses.aleatoric import aleatoric, aleatoric_of_gradients, length

NAN = float("nan")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def everywhere(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.bool)


def test_the_aleatoric_loss_is_its_formula_where_valid():
    residual = torch.tensor([[3.0, 4.0], [0.0, 0.0], [NAN, NAN]])
    confidence = torch.tensor([2.0, 5.0, 7.0])
    valid = torch.tensor([True, True, False])
    expected = (2 * 5 - 0.1 * math.log(2) - 0.1 * math.log(5)) / 2
    assert aleatoric(residual, confidence, valid, alpha=0.1).item() == pytest.approx(expected)
    assert aleatoric(residual, confidence, ~everywhere(3)) == 0


def test_the_best_confidence_is_alpha_over_the_error():
    """d/dS (S e - alpha log S) = 0 at S = alpha / e."""
    residual = torch.tensor([[0.5], [0.05]])
    confidence = (0.2 / residual[:, 0]).requires_grad_()
    aleatoric(residual, confidence, everywhere(2), alpha=0.2).backward()
    torch.testing.assert_close(confidence.grad, torch.zeros(2), atol=1e-6, rtol=0)


def test_gradients_are_differences_of_neighbours_that_are_both_valid():
    residual = torch.zeros(1, 2, 3, 1)
    residual[0, 0, 1] = 1.0
    residual[0, 1, 2] = NAN
    valid = residual.isfinite()[..., 0]
    found = aleatoric_of_gradients(residual, torch.ones(1, 2, 3), valid, alpha=0.2)
    columns = (1 + 1 + 0) / 3  # two of three valid differences in a row see the one
    rows = (0 + 1) / 2
    assert found.item() == pytest.approx((columns + rows) / 2)


def test_a_norm_of_nothing_has_no_gradient():
    x = torch.zeros(3, requires_grad=True)
    length(x).backward()
    assert torch.equal(x.grad, torch.zeros(3))


def test_a_scene_is_normalised_by_the_mean_distance_of_what_is_valid():
    points = random(2, 3, 4, 5, 3) * 7
    valid = random(2, 3, 4, 5, seed=1) > 0
    valid[1] = False
    points[0][~valid[0]] = NAN
    scale = fourrc.scene_scale(points, valid)
    normal = points[0][valid[0]] / scale[0]
    assert normal.norm(dim=-1).mean().item() == pytest.approx(1.0)
    assert scale[1] == 1


def test_eq_7_adds_the_gradients_of_the_image():
    predicted, truth = random(1, 2, 4, 5), random(1, 2, 4, 5, seed=1)
    sure, valid = random(1, 2, 4, 5, seed=2).exp(), everywhere(1, 2, 4, 5)
    residual = (predicted - truth)[..., None]
    expected = aleatoric(residual, sure, valid) + aleatoric_of_gradients(residual, sure, valid)
    torch.testing.assert_close(fourrc.depth_loss(predicted, truth, sure, valid), expected)
    shifted = fourrc.depth_loss(truth + 0.5, truth, torch.ones_like(sure), valid)
    assert shifted.item() == pytest.approx(0.5)  # a constant error has no gradient


def test_eq_8_adds_the_change_from_time_to_time():
    truth = random(1, 3, 2, 2, 3)
    sure, valid = torch.ones(1, 3, 2, 2), everywhere(1, 3, 2, 2)
    shift = torch.tensor([3.0, 0.0, 4.0])
    steady = fourrc.motion_loss(truth + shift, truth, sure, valid)
    assert steady.item() == pytest.approx(5.0)
    jerk = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1, 1) * shift
    assert fourrc.motion_loss(truth + jerk, truth, sure, valid).item() == pytest.approx(5 / 3 + 5)
    alone = fourrc.motion_loss(truth[:, :1] + shift, truth[:, :1], sure[:, :1], valid[:, :1])
    assert alone.item() == pytest.approx(5.0)


def test_motion_is_learnt_from_all_points_or_from_those_that_move_the_most():
    displacement, valid = random(2, 3, 10, 10, 3), everywhere(2, 3, 10, 10)
    valid[1, :, :5] = False
    furthest = displacement.norm(dim=-1).amax(dim=1)
    generator = torch.Generator().manual_seed(0)
    shares = []
    for _ in range(200):
        chosen = fourrc.supervised(displacement, valid, generator)
        shares.append((chosen.sum() / valid.sum()).item())
        assert not (chosen & ~valid).any()
        for far, taken, there in zip(furthest, chosen.any(dim=1), valid.any(dim=1), strict=True):
            left = there & ~taken
            assert not left.any() or far[taken].min() >= far[left].max()
    rest = [share for share in shares if share < 1]
    assert 0.1 < 1 - len(rest) / 200 < 0.3
    assert 0.2 <= min(rest) < 0.22 and 0.28 < max(rest) <= 0.31


def test_eq_3_weighs_large_errors_more_and_without_a_gradient():
    truth, sure = torch.zeros(1, 1, 1, 2, 3), torch.ones(1, 1, 1, 2)
    predicted = torch.tensor([[1.0, 0, 0], [4.0, 0, 0]]).view(1, 1, 1, 2, 3).requires_grad_()
    valid = everywhere(1, 1, 1, 2)
    loss = complet4r.point_loss(predicted, truth, sure, valid)
    gradients = aleatoric_of_gradients(predicted - truth, sure, valid, alpha=0.0)
    assert (loss - gradients).item() == pytest.approx((1 * 1 + 2 * 4) / 2)
    (loss - gradients).backward()
    torch.testing.assert_close(predicted.grad[0, 0, 0, :, 0], torch.tensor([0.5, 1.0]))


def test_dynamic_points_weigh_more_in_the_ablation():
    home = torch.zeros(1, 1, 1, 2, 3)
    points = torch.tensor([[0.1, 0, 0], [0.4, 0, 0]]).view(1, 1, 1, 2, 3)
    weight = complet4r.dynamic_weight(points, home, threshold=0.2, factor=8.0)
    assert weight.flatten().tolist() == [1.0, 8.0]


def test_cameras_are_compared_number_by_number_and_unknown_ones_are_not():
    truth = torch.zeros(1, 2, 9)
    truth[0, 1] = NAN
    known = torch.tensor([[True, False]])
    predicted = torch.zeros(3, 1, 2, 9, requires_grad=True)
    moved = predicted + torch.tensor([300.0] * 3 + [0.5] * 4 + [0.2] * 2)
    loss = vggt.camera_loss(moved, truth, known)
    each = 100 + 0.5 + 0.5 * 0.2
    assert loss.item() == pytest.approx(each * (1 + 0.6 + 0.36) / 3)
    loss.backward()
    assert torch.isfinite(predicted.grad).all() and not predicted.grad[:, :, 1].any()
    plain = fourrc.camera_loss(torch.full((1, 2, 9), 0.3), truth, known)
    assert plain.item() == pytest.approx(0.3)
    huber = complet4r.camera_loss(torch.full((1, 2, 9), 0.3), truth, known, delta=0.1)
    assert huber.item() == pytest.approx(0.1 * (0.3 - 0.05))


def test_raft_leaves_out_what_is_too_fast_or_unknown():
    truth = torch.zeros(1, 2, 1, 3)
    truth[0, 0, 0, 1], truth[0, :, 0, 2] = 500.0, NAN
    valid = torch.tensor([[[True, True, False]]])
    estimates = torch.stack([truth.nan_to_num() + 2, truth.nan_to_num() + 1])
    assert flow.raft_loss(estimates, truth, valid).item() == pytest.approx(0.8 * 2 + 1)


def test_sea_raft_is_the_likelihood_of_its_mixture():
    truth, estimates = random(2, 2, 3, 4), random(1, 2, 2, 3, 4, seed=1)
    mixtures = random(1, 2, 4, 3, 4, seed=2) * 2
    found = flow.searaft_loss(estimates, mixtures, truth, everywhere(2, 3, 4))
    weights = mixtures[0, :, :2].softmax(dim=1)
    scales = [mixtures[0, :, 2].clamp(0, 10).exp(), torch.ones(2, 3, 4)]
    density = sum(
        weights[:, None, i]
        * torch.distributions.Laplace(torch.zeros(()), scales[i][:, None])
        .log_prob(estimates[0] - truth)
        .exp()
        for i in range(2)
    )
    torch.testing.assert_close(found, -density.log().mean())


def test_positions_of_hidden_points_count_less_and_far_ones_linearly():
    truth = torch.zeros(1, 1, 2, 2)
    visible, known = torch.tensor([[[True, False]]]), everywhere(1, 1, 2)
    estimates = torch.full((1, 1, 1, 2, 2), 2.0)
    near = tracks.position_loss(estimates, truth, visible, known)
    assert near.item() == pytest.approx((0.05 + 0.01) / 2 * 2.0**2 / 2)
    far = tracks.position_loss(estimates * 50, truth, visible, known)
    assert far.item() == pytest.approx((0.05 + 0.01) / 2 * 6 * (100 - 3))


def test_confidence_is_whether_the_point_was_found_and_mobility_whether_it_moves():
    truth = torch.zeros(1, 2, 1, 2)
    estimates = torch.tensor([[[[[5.0, 0]], [[20.0, 0]]]]])
    visible = everywhere(1, 2, 1)
    right = torch.tensor([[[[9.0], [-9.0]]]])
    assert tracks.confidence_loss(right, estimates, truth, visible) < 1e-3
    assert tracks.confidence_loss(-right, estimates, truth, visible) > 5
    moving = torch.tensor([[True, False]])
    assert tracks.mobility_loss(right, moving, visible) < 1e-3
    assert tracks.visibility_loss(right, moving[..., None], visible) < 1e-3


def test_unknown_truth_reaches_no_gradient():
    truth = random(1, 2, 3, 3, 3)
    valid = random(1, 2, 3, 3, seed=1) > 0
    truth[~valid] = NAN
    predicted = random(1, 2, 3, 3, 3, seed=2).requires_grad_()
    sure = random(1, 2, 3, 3, seed=3).exp().requires_grad_()
    losses = [
        fourrc.motion_loss(predicted, truth, sure, valid),
        fourrc.depth_loss(predicted[..., 0], truth[..., 0], sure, valid),
        complet4r.point_loss(predicted, truth, sure, valid),
        tracks.position_loss(predicted[None, 0, ..., :2], truth[0, ..., :2], valid[0], valid[0]),
    ]
    sum(losses).backward()
    assert torch.isfinite(predicted.grad).all() and torch.isfinite(sure.grad).all()
    assert not predicted.grad[~valid].any()


def test_the_losses_lead_to_the_truth():
    """A few steps of descent from noise bring displacements near the truth."""
    truth = random(1, 4, 5, 5, 3)
    predicted = torch.zeros_like(truth, requires_grad=True)
    log_sure = torch.zeros(1, 4, 5, 5, requires_grad=True)
    optimizer = torch.optim.Adam([predicted, log_sure], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = fourrc.motion_loss(predicted, truth, log_sure.exp(), everywhere(1, 4, 5, 5))
        loss.backward()
        optimizer.step()
    assert (predicted - truth).norm(dim=-1).mean() < 0.1 * truth.norm(dim=-1).mean()
