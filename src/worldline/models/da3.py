"""Depth Anything 3 (Lin et al. 2025): depth, rays and cameras of any number of views.

One transformer sees all views; a Dual-DPT reads depth and ray maps off it, a light head cameras.
The metric and the monocular model are the same backbone without alternation and a DPT for depth
and sky; the nested model puts the any-view model's depth to metric scale with the metric one's.
Published by ByteDance: small, base, metric and mono under Apache-2.0, large, giant and nested under
CC BY-NC 4.0. Code: ByteDance-Seed/Depth-Anything-3.
"""

import re
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from worldline.geometry.pose_encoding import decode_camera, encode_camera
from worldline.nn.anyview import AnyView, AnyViewConfig, Level, Reference
from worldline.nn.camera_decoder import CameraDecoder
from worldline.nn.dino import DinoConfig, DinoTrunk
from worldline.nn.dpt import READ_OFF, Dpt, DptConfig
from worldline.nn.dual_dpt import DualDpt, Geometry
from worldline.nn.transformer import Block, Mlp

NOT_SKY = 0.3  # below this the sky head sees no sky
SKY_QUANTILE, SKY_AT_MOST = 0.99, 200.0  # how far away sky is put; the latter in metres
METRIC_FOCAL = 300.0  # focal length, in pixels, at which the metric head speaks metres


@dataclass(frozen=True)
class DA3Config:
    """Sizes of an any-view model. Cameras can be given if `camera_depth` blocks encode them."""

    dim: int
    depth: int
    heads: int
    alternate_from: int
    levels: tuple[int, ...]
    features: int
    channels: tuple[int, ...]
    qk_norm_from: int | None = None  # None: as `alternate_from`
    rope_from: int | None = None
    swiglu: bool = False
    camera_depth: int = 4
    camera_heads: int = 16
    patch: int = 14
    image: int = 518

    def backbone(self, *, time_token: bool = False) -> AnyViewConfig:
        """The sizes of the backbone alone."""
        start = self.alternate_from
        dino = DinoConfig(
            dim=self.dim,
            depth=self.depth,
            heads=self.heads,
            swiglu=self.swiglu,
            qk_norm_from=start if self.qk_norm_from is None else self.qk_norm_from,
            patch=self.patch,
            image=self.image,
        )
        rope = start if self.rope_from is None else self.rope_from
        return AnyViewConfig(dino, start, rope, self.levels, time_token)

    def head(self) -> DptConfig:
        """The sizes of the Dual-DPT, which reads local and mixed tokens side by side."""
        return DptConfig(
            dim=2 * self.dim,
            features=self.features,
            channels=self.channels,
            outputs=2,
            patch=self.patch,
        )


@dataclass(frozen=True)
class DA3Views:
    """What an any-view model says of B x S views.

    The world is the reference view's camera, in the model's own unit; OpenCV axes.
    cameras: nine numbers each, world from camera (`geometry.pose_encoding`).
    """

    geometry: Geometry
    cameras: Float[Tensor, "B S 9"]

    @property
    def world_from_camera(self) -> Float[Tensor, "B S 3 4"]:
        """Rigid motions."""
        return decode_camera(self.cameras, self._size)[0]

    @property
    def intrinsics(self) -> Float[Tensor, "B S 3 3"]:
        """In pixels of the views; the principal point is the image centre."""
        return decode_camera(self.cameras, self._size)[1]

    @property
    def _size(self) -> tuple[int, int]:
        height, width = self.geometry.depth.shape[-2:]
        return height, width


class CameraEncoder(nn.Module):
    """Given cameras as tokens: nine numbers each, which then look at each other."""

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.pose_branch = Mlp(9, dim // 2, dim)
        self.token_norm = nn.LayerNorm(dim)
        self.trunk = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.trunk_norm = nn.LayerNorm(dim)

    def forward(self, cameras: Float[Tensor, "B S 9"]) -> Float[Tensor, "B S C"]:
        """One token a camera."""
        x = self.token_norm(self.pose_branch(cameras))
        for block in self.trunk:
            x = block(x)
        return self.trunk_norm(x)


class DA3(nn.Module):
    """The any-view model."""

    Config: ClassVar = DA3Config
    TRUNK: ClassVar = ("backbone",)  # may run in half precision

    def __init__(self, config: DA3Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = AnyView(config.backbone())
        self.head = DualDpt(config.head())
        self.cam_enc = CameraEncoder(config.dim, config.camera_depth, config.camera_heads)
        self.cam_dec = CameraDecoder(2 * config.dim)

    def forward(
        self,
        images: Float[Tensor, "B S 3 H W"],
        cameras: tuple[Float[Tensor, "B S 3 4"], Float[Tensor, "B S 3 3"]] | None = None,
        reference: Reference = "balanced",
    ) -> DA3Views:
        """Depth, rays and cameras of all views.

        images: normalised as for ImageNet; sides are multiples of 14.
        cameras: given world-from-camera motions and intrinsics in pixels, if they are known.
            They should be relative to the first view, at a scale where the median distance
            to it is 1, as in training (`relative_cameras`).
        reference: the view that becomes the world: the first, or the one the network likes best.
        """
        size = (images.shape[-2], images.shape[-1])
        tokens = None if cameras is None else self.cam_enc(encode_camera(*cameras, size))

        def read(number: int, level: Level) -> tuple[Tensor, Tensor]:
            return project_level(self.head, number, level, size), level.camera

        maps, camera_tokens = zip(*self.backbone(images, read, tokens, reference), strict=True)
        token = camera_tokens[-1].to(self.cam_dec.fc_t.weight.dtype)
        return DA3Views(self.head.geometry(maps, size), self.cam_dec(token))


def project_level(
    head: Dpt, number: int, level: Level, size: tuple[int, int], chunk: int = 16
) -> Float[Tensor, "B S channels h w"]:
    """A level as the head keeps it: local and mixed tokens side by side, fewer channels.

    The wide tokens exist for `chunk` frames at a time.
    """
    batch, frames = level.local.shape[:2]
    local, mixed = level.local.flatten(0, 1), level.mixed.flatten(0, 1)
    dtype = next(head.parameters()).dtype
    parts = [
        head.project(number, torch.cat(both, dim=-1).to(dtype), size)
        for both in zip(local.split(chunk), mixed.split(chunk), strict=True)
    ]
    return torch.cat(parts).unflatten(0, (batch, frames))


def relative_cameras(world_from_camera: Float[Tensor, "B S 3 4"]) -> Float[Tensor, "B S 3 4"]:
    """Motions as the network wants given ones: from the first view, median distance to it 1."""
    rotation, centre = world_from_camera[..., :3], world_from_camera[..., 3:]
    back = rotation[:, :1].mT
    centre = back @ (centre - centre[:, :1])
    scale = centre.norm(dim=-2).flatten(1).median(dim=1).values.clamp_min(0.1)
    return torch.cat([back @ rotation, centre / scale[:, None, None, None]], dim=-1)


@dataclass(frozen=True)
class DA3MonoConfig:
    """Sizes of a metric or monocular model."""

    dim: int
    depth: int
    heads: int
    levels: tuple[int, ...]
    features: int
    channels: tuple[int, ...]
    swiglu: bool = False
    patch: int = 14
    image: int = 518


class DA3Mono(nn.Module):
    """Depth and sky of single images: the metric model, and the monocular one."""

    Config: ClassVar = DA3MonoConfig

    def __init__(self, config: DA3MonoConfig) -> None:
        super().__init__()
        self.config = config
        dino = DinoConfig(
            dim=config.dim,
            depth=config.depth,
            heads=config.heads,
            swiglu=config.swiglu,
            patch=config.patch,
            image=config.image,
        )
        self.backbone = DinoTrunk(dino)
        head = DptConfig(
            dim=config.dim,
            features=config.features,
            channels=config.channels,
            outputs=1,
            norm=False,
            position=False,
            patch=config.patch,
        )
        self.head = Dpt(head)
        self.head.scratch.add_module("sky_output_conv2", self._sky())

    def forward(
        self, images: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B H W"], Float[Tensor, "B H W"]]:
        """Depth and sky of each image; below 0.3 it is no sky.

        Depth of the metric model is in metres where the focal length is 300 pixels
        (`metric_depth`), that of the monocular model relative.
        """
        size = (images.shape[-2], images.shape[-1])
        fused = self.head.fuse(self._maps(images, size), size)
        full = self.head.enlarged(fused, size)
        depth = self.head.scratch.output_conv2(full)[:, 0].exp()
        return depth, self.head.scratch.get_submodule("sky_output_conv2")(full)[:, 0].relu()

    def _sky(self) -> nn.Module:
        narrow = self.config.features // 2
        return nn.Sequential(
            nn.Conv2d(narrow, READ_OFF, 3, padding=1), nn.ReLU(), nn.Conv2d(READ_OFF, 1, 1)
        )

    def _maps(self, images: Tensor, size: tuple[int, int]) -> list[Tensor]:
        maps: list[Tensor] = []
        x = self.backbone.embed(images)
        dtype = next(self.head.parameters()).dtype
        for i, block in enumerate(self.backbone.blocks):
            x = block(x)
            if i in self.config.levels:
                tokens = self.backbone.norm(x[:, 1:]).to(dtype)
                maps.append(self.head.project(len(maps), tokens, size))
        return maps


def metric_depth(
    depth: Float[Tensor, "*frames H W"], intrinsics: Float[Tensor, "*frames 3 3"]
) -> Float[Tensor, "*frames H W"]:
    """The metric model's depth in metres, by the mean focal length in pixels."""
    focal = (intrinsics[..., 0, 0] + intrinsics[..., 1, 1]) / 2
    return depth * (focal / METRIC_FOCAL)[..., None, None]


def sky_put_away(
    depth: Float[Tensor, "*shape"], sky: Float[Tensor, "*shape"], at_most: float = float("inf")
) -> Float[Tensor, "*shape"]:
    """Sky as far away as the 99 % quantile of all else, but `at_most`.

    As it is where either is too small to tell.
    """
    solid = sky < NOT_SKY
    if min(int(solid.sum()), int((~solid).sum())) <= 10:
        return depth
    return torch.where(solid, depth, _quantile(depth[solid], SKY_QUANTILE).clamp_max(at_most))


@dataclass(frozen=True)
class DA3NestedConfig:
    """Sizes of both halves."""

    views: DA3Config
    metric: DA3MonoConfig


class DA3Nested(nn.Module):
    """The any-view model at metric scale."""

    Config: ClassVar = DA3NestedConfig

    def __init__(self, config: DA3NestedConfig) -> None:
        super().__init__()
        self.config = config
        self.da3 = DA3(config.views)
        self.da3_metric = DA3Mono(config.metric)

    def forward(
        self,
        images: Float[Tensor, "1 S 3 H W"],
        cameras: tuple[Float[Tensor, "1 S 3 4"], Float[Tensor, "1 S 3 3"]] | None = None,
        reference: Reference = "balanced",
    ) -> DA3Views:
        """As DA3, in metres; sky lies at the far end of the rest, 200 m away at most."""
        views = self.da3(images, cameras, reference)
        raw, sky = self.da3_metric(images[0])
        metres = metric_depth(raw[None], views.intrinsics)
        geometry, sky = views.geometry, sky[None]
        scale = metric_scale(geometry, metres, sky < NOT_SKY)
        depth = sky_put_away(geometry.depth * scale, sky, SKY_AT_MOST)
        sure = torch.where(sky < NOT_SKY, geometry.depth_confidence, 1.0)
        ray = torch.cat([geometry.ray[..., :3], geometry.ray[..., 3:] * scale], dim=-1)
        scaled = torch.cat([views.cameras[..., :3] * scale, views.cameras[..., 3:]], dim=-1)
        return DA3Views(Geometry(depth, sure, ray, geometry.ray_confidence, []), scaled)


def metric_scale(
    geometry: Geometry, metres: Float[Tensor, "1 S H W"], solid: Bool[Tensor, "1 S H W"]
) -> Float[Tensor, ""]:
    """Metres per unit: least squares over the surer half of what is not sky; 1 if all is sky."""
    if int(solid.sum()) <= 10:
        return metres.new_ones(())
    depth, sure = geometry.depth, geometry.depth_confidence
    median = _quantile(sure[solid], 0.5)
    used = solid & (sure >= median) & (depth > 1e-3) & (metres > 1e-2)
    ours, theirs = depth[used], metres[used]
    return (ours @ theirs) / (ours @ ours).clamp_min(1e-12)


def _quantile(values: Float[Tensor, " M"], share: float) -> Float[Tensor, ""]:
    """`torch.quantile` without its limit of 2^24 values."""
    place = share * (len(values) - 1)
    low = values.kthvalue(int(place) + 1).values
    high = values.kthvalue(min(int(place) + 2, len(values))).values
    return low + (place - int(place)) * (high - low)


def renamed(name: str) -> str | None:
    """Our name of a published tensor: without "model.", and of a backbone without "pretrained.".

    None for the Gaussian head of the giant (`gs_head`, `gs_adapter`), which we do not use.
    """
    name = name.removeprefix("model.")
    if re.match(r"(da3\.)?gs_(head|adapter)\.", name):
        return None
    return name.replace("backbone.pretrained.", "backbone.")


def _any_view(
    dim: int, depth: int, heads: int, start: int, levels: tuple[int, ...], head: int
) -> DA3Config:
    wide = dim == 1536
    channels = (256, 512, 1024, 1024) if head == 256 else tuple(dim * k // 8 for k in (1, 2, 4, 8))
    return DA3Config(dim, depth, heads, start, levels, head, channels, swiglu=wide)


_GIANT = _any_view(1536, 40, 24, 13, (19, 27, 33, 39), 256)
_MONO = DA3MonoConfig(1024, 24, 16, (4, 11, 17, 23), 256, (256, 512, 1024, 1024))

PUBLISHED: dict[str, DA3Config | DA3MonoConfig | DA3NestedConfig] = {
    "da3-small": _any_view(384, 12, 6, 4, (5, 7, 9, 11), 64),
    "da3-base": _any_view(768, 12, 12, 4, (5, 7, 9, 11), 128),
    "da3-large": _any_view(1024, 24, 16, 8, (11, 15, 19, 23), 256),
    "da3-giant": _GIANT,
    "da3-metric": _MONO,
    "da3-mono": _MONO,
    "da3-nested": DA3NestedConfig(_GIANT, _MONO),
}
