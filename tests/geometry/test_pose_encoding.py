"""Protects that cameras survive their nine numbers, in any orientation."""

import torch
from scipy.spatial.transform import Rotation as Spin

from worldline.geometry.pose_encoding import (
    decode_camera,
    encode_camera,
    inverse_motion,
    quaternion_of,
    rotation_of,
)


def cameras(count=50):
    """Random motions and intrinsics of images of 60 x 100, half turns among them."""
    spins = Spin.random(count, random_state=1).as_matrix()
    spins[:3] = Spin.from_euler("xyz", [[180, 0, 0], [0, 180, 0], [0, 0, 180]], True).as_matrix()
    motion = torch.zeros(count, 3, 4, dtype=torch.float64)
    motion[..., :3] = torch.as_tensor(spins)
    motion[..., 3] = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    K = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    K[:, 0, 0], K[:, 1, 1] = torch.linspace(40, 200, count), torch.linspace(50, 90, count)
    K[:, 0, 2], K[:, 1, 2] = 50.0, 30.0
    return motion, K


def test_cameras_survive_the_encoding():
    motion, K = cameras()
    again, K_again = decode_camera(encode_camera(motion, K, (60, 100)), (60, 100))
    torch.testing.assert_close(again, motion)
    torch.testing.assert_close(K_again, K)


def test_quaternions_agree_with_scipy_and_need_no_unit_length():
    motion, _ = cameras()
    expected = torch.as_tensor(Spin.from_matrix(motion[..., :3].numpy()).as_quat(canonical=True))
    ours = quaternion_of(motion[3:, :, :3])
    torch.testing.assert_close(ours, expected[3:])
    torch.testing.assert_close(rotation_of(3 * ours), motion[3:, :, :3])


def test_a_head_that_answers_no_field_of_view_gives_a_finite_camera():
    _, K = decode_camera(torch.tensor([0.0, 0, 0, 0, 0, 0, 1, 0, 0]), (60, 100))
    assert torch.isfinite(K).all()


def test_a_motion_and_its_inverse_cancel():
    motion, _ = cameras()
    back = inverse_motion(motion)
    torch.testing.assert_close(
        back[..., :3] @ motion[..., 3:] + back[..., 3:], torch.zeros(50, 3, 1, dtype=torch.float64)
    )
