"""Reads a camera off its token: the light camera head of Depth Anything 3 and 4RC."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class CameraDecoder(nn.Module):
    """Two linear layers, then translation, quaternion and fields of view."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU()
        )
        self.fc_t = nn.Linear(dim, 3)
        self.fc_qvec = nn.Linear(dim, 4)
        self.fc_fov = nn.Sequential(nn.Linear(dim, 2), nn.ReLU())

    def forward(self, token: Float[Tensor, "*frames C"]) -> Float[Tensor, "*frames 9"]:
        """World-from-camera motions, encoded as in `geometry.pose_encoding`."""
        x = self.backbone(token)
        return torch.cat([self.fc_t(x), self.fc_qvec(x), self.fc_fov(x)], dim=-1)
