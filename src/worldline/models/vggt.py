"""VGGT: cameras, depth, points and tracks of all frames of a video in one pass.

"VGGT: Visual Geometry Grounded Transformer" (Wang et al., arXiv 2503.11651). DINOv2 makes patch
tokens of every frame; blocks that look within one frame and blocks that look across all of them
take turns (section 3.2); four levels of their tokens feed the dense heads, and each frame's camera
token the camera head (3.3). Everything is in the first frame's camera, OpenCV axes, up to scale.

Published: VGGT-1B (1.26 billion parameters), for non-commercial use, and a commercial variant.
`Aggregator`, `CameraHead` and the DPT heads are also those of `models.vdpm` and
`models.complet4r`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from worldline.geometry.pose_encoding import decode_camera
from worldline.models.vggt_tracker import VggtTracker, VggtTrackerConfig
from worldline.nn.activations import confidence, inverse_log
from worldline.nn.dino import Dino, DinoConfig, normalized
from worldline.nn.dpt import Dpt, DptConfig
from worldline.nn.rope import positions_with_specials, rotation
from worldline.nn.transformer import Block, Mlp, modulate

ITERATIONS = 4  # of the camera head


@dataclass(frozen=True)
class AggregatorConfig:
    """Sizes of the aggregator and of the heads that the networks of this family share.

    levels: the blocks whose tokens the dense heads read. registers: special tokens of a frame
    beside its camera token; DINOv2 has `dino_registers` of its own.
    """

    dim: int = 1024
    depth: int = 24
    heads: int = 16
    registers: int = 4
    dino_depth: int = 24
    dino_heads: int = 16
    dino_registers: int = 4
    levels: tuple[int, ...] = (4, 11, 17, 23)
    features: int = 256
    channels: tuple[int, ...] = (256, 512, 1024, 1024)
    camera_depth: int = 4
    camera_heads: int = 16
    patch: int = 14
    image: int = 518


@dataclass(frozen=True)
class VggtConfig(AggregatorConfig):
    """Sizes of a VGGT; track_*: of the tracker (`VggtTrackerConfig`)."""

    track_features: int = 128
    track_hidden: int = 384
    track_heads: int = 8
    track_depth: int = 6
    track_virtual: int = 64
    track_levels: int = 7
    track_radius: int = 4
    track_iterations: int = 4


PUBLISHED = {"vggt-1b": VggtConfig()}


def renamed(name: str) -> str:
    """The name of a published tensor in `Vggt`: the same one, less what training put before it."""
    return name.removeprefix("module.").removeprefix("model.")


class Aggregator(nn.Module):
    """Tokens of all frames: DINOv2's patches behind special tokens, then alternating attention."""

    def __init__(self, config: AggregatorConfig) -> None:
        super().__init__()
        self.config = config
        dino = DinoConfig(
            config.dim,
            config.dino_depth,
            config.dino_heads,
            registers=config.dino_registers,
            antialias=True,
            mask_token=True,
            patch=config.patch,
            image=config.image,
        )
        self.patch_embed = Dino(dino, last_eps=1e-6)
        # Of each pair, the first is the first frame's and the second that of all others.
        self.camera_token = nn.Parameter(1e-6 * torch.randn(1, 2, 1, config.dim))
        self.register_token = nn.Parameter(1e-6 * torch.randn(1, 2, config.registers, config.dim))
        self.frame_blocks = self._blocks()
        self.global_blocks = self._blocks()

    def _blocks(self) -> nn.ModuleList:
        dim, heads = self.config.dim, self.config.heads
        return nn.ModuleList(Block(dim, heads, qk_norm=True) for _ in range(self.config.depth))

    def patches(self, images: Float[Tensor, "B S 3 H W"]) -> Float[Tensor, "B S P C"]:
        """DINOv2's patch tokens of images in [0,1], frame by frame."""
        flat = normalized(images).flatten(0, 1).to(self.camera_token.dtype)
        return self.patch_embed(flat).unflatten(0, images.shape[:2])

    def specials(self, frames: int) -> Float[Tensor, "S K C"]:
        """The special tokens of each frame, its camera token in front."""
        return of_frames(torch.cat([self.camera_token, self.register_token], dim=2), frames)

    def tokens(self, images: Float[Tensor, "B S 3 H W"]) -> Float[Tensor, "B S N C"]:
        """The tokens before the first block."""
        return behind(self.specials(images.shape[1]), self.patches(images))

    def levels(
        self, tokens: Float[Tensor, "B S N C"], size: tuple[int, int]
    ) -> Iterator[tuple[int, Float[Tensor, "B S N C2"]]]:
        """(block, its tokens) of `config.levels` and of the last block, one after the other.

        Along the channels lie the tokens as they were within frames, then as they are across.
        """
        config, shape = self.config, tokens.shape
        rows, columns = (side // config.patch for side in size)
        places = positions_with_specials(shape[2] - rows * columns, rows, columns, tokens.device)
        turn = rotation(places, config.dim // config.heads)
        for i in range(config.depth):
            tokens = self.frame_blocks[i](tokens.flatten(0, 1), turn).view(shape)
            read = i in config.levels or i == config.depth - 1
            within = tokens if read else None
            tokens = self.global_blocks[i](tokens.flatten(1, 2), turn).view(shape)
            if within is not None:
                yield i, torch.cat([within, tokens], dim=-1)

    def gather(
        self, tokens: Float[Tensor, "B S N C"], size: tuple[int, int], heads: Sequence[Dpt]
    ) -> tuple[Float[Tensor, "B S C2"], list[list[Float[Tensor, "BS _ h w"]]]]:
        """The last camera tokens, and the maps of the four levels for each of the dense heads.

        Levels become maps, which have far fewer channels, as soon as they are there.
        """
        maps: list[list[Tensor]] = [[] for _ in heads]
        levels = self.levels(tokens, size)
        del tokens  # neither these nor a level are held while further blocks run
        for i, level in levels:
            if i in self.config.levels:
                for head, own in zip(heads, maps, strict=True):
                    own.append(projected(head, len(own), level, size))
            cameras = level[:, :, 0].clone()
            del level
        return cameras, maps


def of_frames(pair: Float[Tensor, "1 2 K C"], frames: int) -> Float[Tensor, "S K C"]:
    """The first of a pair for the first frame, the second for all others."""
    return torch.cat([pair[0, :1], pair[0, 1:].expand(frames - 1, -1, -1)])


def behind(
    specials: Float[Tensor, "*S K C"], patches: Float[Tensor, "B S P C"]
) -> Float[Tensor, "B S N C"]:
    """Every frame's patches behind its special tokens."""
    specials = specials.to(patches.dtype).expand(*patches.shape[:2], -1, -1)
    return torch.cat([specials, patches], dim=2)


class CameraHead(nn.Module):
    """Cameras of all frames from their camera tokens, refined a few times."""

    def __init__(self, config: AggregatorConfig) -> None:
        super().__init__()
        dim, heads = 2 * config.dim, config.camera_heads
        self.token_norm = nn.LayerNorm(dim)
        self.empty_pose_tokens = nn.Parameter(torch.zeros(1, 1, 9))
        self.embed_pose = nn.Linear(9, dim)
        self.poseLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 3 * dim))
        self.adaln_norm = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.trunk = nn.Sequential(*(Block(dim, heads) for _ in range(config.camera_depth)))
        self.trunk_norm = nn.LayerNorm(dim)
        self.pose_branch = Mlp(dim, dim // 2, 9)

    def forward(self, tokens: Float[Tensor, "B S C"]) -> Float[Tensor, "iterations B S 9"]:
        """Camera from world after every refinement, as `geometry.pose_encoding` has it."""
        tokens = self.token_norm(tokens.to(self.token_norm.weight.dtype))
        normed = self.adaln_norm(tokens)
        pose, embedded = torch.zeros_like(tokens[..., :9]), self.embed_pose(self.empty_pose_tokens)
        poses = []
        for _ in range(ITERATIONS):
            shift, scale, gate = self.poseLN_modulation(embedded).chunk(3, dim=-1)
            x = self.trunk(torch.addcmul(tokens, gate, modulate(normed, shift, scale)))
            pose = pose + self.pose_branch(self.trunk_norm(x))
            poses.append(torch.cat([pose[..., :7], F.relu(pose[..., 7:])], dim=-1))
            embedded = self.embed_pose(pose.detach())
        return torch.stack(poses)


class TrackHead(nn.Module):
    """Feature maps at half size from a DPT, and the tracker that looks at them."""

    def __init__(self, config: VggtConfig) -> None:
        super().__init__()
        features = dpt_config(config, 0, features=config.track_features, position=False)
        self.feature_extractor = Dpt(features)
        self.tracker = VggtTracker(
            VggtTrackerConfig(
                latent=config.track_features,
                hidden=config.track_hidden,
                heads=config.track_heads,
                depth=config.track_depth,
                virtual_tracks=config.track_virtual,
                levels=config.track_levels,
                radius=config.track_radius,
            )
        )
        self.iterations = config.track_iterations

    def forward(
        self,
        maps: list[Float[Tensor, "BS _ h w"]],
        queries: Float[Tensor, "B Q 2"],
        size: tuple[int, int],
    ) -> tuple[Float[Tensor, "iterations B S Q 2"], Float[Tensor, "B S Q"], Float[Tensor, "B S Q"]]:
        """Positions after every iteration, visibility and confidence of the queried points."""
        features = self.feature_extractor.predict(maps, size).unflatten(0, (len(queries), -1))
        tracks, visible, sure = self.tracker(features, queries, self.iterations)
        return torch.stack(tracks), visible, sure


def dpt_config(
    config: AggregatorConfig, outputs: int, *, features: int | None = None, position: bool = True
) -> DptConfig:
    """Sizes of a dense head on this aggregator."""
    return DptConfig(
        2 * config.dim,
        features or config.features,
        config.channels,
        outputs,
        position=position,
        relu_trunk=True,
        patch=config.patch,
    )


def projected(
    head: Dpt, place: int, level: Float[Tensor, "B S N C"], size: tuple[int, int]
) -> Float[Tensor, "BS _ h w"]:
    """The patches of a level's tokens as the map that a dense head makes of them."""
    patches = (size[0] // head.sizes.patch) * (size[1] // head.sizes.patch)
    tokens = level[:, :, -patches:].flatten(0, 1)
    with own_precision(level):
        return head.project(place, tokens.to(head.precision), size)


def own_precision(like: Tensor) -> torch.autocast:
    """Heads compute with the precision of their weights, whatever the blocks' is."""
    return torch.autocast(like.device.type, enabled=False)


def points_of(
    raw: Float[Tensor, "BS 4 H W"], batch: int
) -> tuple[Float[Tensor, "B S H W 3"], Float[Tensor, "B S H W"]]:
    """Points, which were predicted in log scale, and confidences above 1."""
    points = inverse_log(raw[:, :3].unflatten(0, (batch, -1)).movedim(2, -1))
    return points, confidence(raw[:, 3].unflatten(0, (batch, -1)))


def depth_of(
    raw: Float[Tensor, "BS 2 H W"], batch: int
) -> tuple[Float[Tensor, "B S H W"], Float[Tensor, "B S H W"]]:
    """Positive depths and confidences above 1."""
    depth, sure = raw.unflatten(0, (batch, -1)).unbind(2)
    return depth.exp(), confidence(sure)


def cameras_of(
    poses: Float[Tensor, "*shape 9"], size: tuple[int, int]
) -> tuple[Float[Tensor, "*shape 3 4"], Float[Tensor, "*shape 3 3"]]:
    """Camera from world [R|t], and intrinsics in pixels of images of `size` (height, width).

    They hold where pixels count from 0 at the first one's centre, as published code unprojects.
    """
    return decode_camera(poses, size, least_tangent=-math.inf)


@dataclass(frozen=True)
class VggtOutput:
    """What VGGT says of a video, in the first frame's camera and up to one scale.

    poses: of every refinement, camera from world; `cameras_of` reads them. depth: z-depth.
    points: where each pixel's point is. tracks: (x, y) of the queries after every refinement.
    visible, sure: in (0,1). Confidences are above 1.
    """

    poses: Float[Tensor, "iterations B S 9"]
    depth: Float[Tensor, "B S H W"]
    depth_confidence: Float[Tensor, "B S H W"]
    points: Float[Tensor, "B S H W 3"]
    points_confidence: Float[Tensor, "B S H W"]
    tracks: Float[Tensor, "refinements B S Q 2"] | None = None
    visible: Float[Tensor, "B S Q"] | None = None
    sure: Float[Tensor, "B S Q"] | None = None


class Vggt(nn.Module):
    """The network. In bfloat16 under autocast, or with `aggregator.bfloat16()`.

    Heads compute with the precision of their weights either way, in float32 as published.
    """

    Config = VggtConfig
    TRUNK: ClassVar = ("aggregator",)  # may run in half precision

    def __init__(self, config: VggtConfig) -> None:
        super().__init__()
        self.config = config
        self.aggregator = Aggregator(config)
        self.camera_head = CameraHead(config)
        self.point_head = Dpt(dpt_config(config, 4))
        self.depth_head = Dpt(dpt_config(config, 2))
        self.track_head = TrackHead(config)

    def forward(
        self, images: Float[Tensor, "B S 3 H W"], queries: Float[Tensor, "B Q 2"] | None = None
    ) -> VggtOutput:
        """Everything about a video; tracks only if there are queries.

        images: in [0,1], sides multiples of the patch.
        queries: (x, y) in the first frame, in pixels that count from 0 at the first one's centre.
        """
        batch, size = len(images), (images.shape[-2], images.shape[-1])
        heads = [self.point_head, self.depth_head]
        if queries is not None:
            heads.append(self.track_head.feature_extractor)
        cameras, maps = self.aggregator.gather(self.aggregator.tokens(images), size, heads)
        with own_precision(images):
            poses = self.camera_head(cameras)
            points, points_confidence = points_of(self.point_head.predict(maps[0], size), batch)
            depth, depth_confidence = depth_of(self.depth_head.predict(maps[1], size), batch)
            tracks = () if queries is None else self.track_head(maps[2], queries, size)
        return VggtOutput(poses, depth, depth_confidence, points, points_confidence, *tracks)
