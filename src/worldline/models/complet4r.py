"""Complet4R: every frame's points gathered at one chosen time, occluded ones included.

"Complet4R: Geometric Complete 4D Reconstruction" (arXiv 2603.27300). VGGT with one idea more,
section 3.2: *aggregation tokens* in two sets, one for the target frame t_a and one shared by all
others, stand among each frame's special tokens, so that attention moves all frames' features to the
target's time. Eq. 1: from images I_1..I_N and t_a come, for every frame i,

    P_i^{t_a}  its points where they are at t_a      aggregation head   `aggregate`, `reconstruct`
    g_i        its camera                            camera head        `reconstruct`
    D_i        its depth                             depth head         `reconstruct`

The union of all P_i^{t_a} is the complete scene at t_a. Points are in the first frame's camera,
OpenCV axes, up to scale. Training starts from VGGT (`Complet4r.from_vggt`), leaves its camera and
depth heads as they are and trains its point head on as the aggregation head (section 3.3).

What targets share. The tokens enter before the first block, and every block mixes them with all
others, so exactly shared is DINOv2's work on the patches (`encode`), a third of all blocks; the
alternating blocks and the aggregation head run once a target. Cameras and depth hang on the target
as well: a scene takes them from one pass, whose target is by convention frame 0.

Published: nothing. Names of tensors are VGGT's where VGGT has them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from worldline.errors import InputError
from worldline.geometry.pose_encoding import decode_camera, inverse_motion, points_of_pixels
from worldline.models.vggt import (
    Aggregator,
    AggregatorConfig,
    CameraHead,
    behind,
    depth_of,
    dpt_config,
    own_precision,
    points_of,
)
from worldline.nn.dpt import Dpt

POINT_HEAD = "point_head."  # in VGGT; the aggregation head inherits it
NEW = "aggregator.aggregation_token"


@dataclass(frozen=True)
class Complet4rConfig(AggregatorConfig):
    """Sizes of a Complet4R, and the choices of its ablation (table 3).

    aggregation_tokens: of one set. The paper does not say how many; it introduces them beside
        VGGT's registers, of which there are two sets likewise, so there are as many as of those.
    fusion: "concatenate" puts them among the special tokens; "add" has one vector a set, which is
        added to all image tokens (section 8).
    representation: the head predicts the "endpoint" P_i^{t_a}, or the "offset" to it from the
        point at the frame's own time (eq. 11).
    """

    aggregation_tokens: int = 4
    fusion: str = "concatenate"
    representation: str = "endpoint"

    def __post_init__(self) -> None:
        if self.fusion not in ("concatenate", "add"):
            raise InputError(f"fusion is {self.fusion!r}; there is: concatenate, add")
        if self.representation not in ("endpoint", "offset"):
            raise InputError(f"representation is {self.representation!r}; endpoint or offset")


PUBLISHED = {"complet4r": Complet4rConfig()}


def renamed(name: str) -> str:
    """The name of one of our own tensors: as it is, less what training put before it."""
    return name.removeprefix("module.").removeprefix("model.")


def renamed_vggt(name: str) -> str | None:
    """Where a tensor of VGGT goes; None for its tracker, which Complet4R does without."""
    name = renamed(name)
    if name.startswith(POINT_HEAD):
        return name.replace(POINT_HEAD, "aggregation_head.", 1)
    return None if name.startswith("track_head.") else name


class TargetAggregator(Aggregator):
    """VGGT's aggregator, whose tokens say which frame is the target."""

    def __init__(self, config: Complet4rConfig) -> None:
        super().__init__(config)
        self.adds = config.fusion == "add"
        count = 1 if self.adds else config.aggregation_tokens
        self.aggregation_token = nn.Parameter(1e-6 * torch.randn(1, 2, count, config.dim))

    def aimed(
        self, patches: Float[Tensor, "B S P C"], targets: Int[Tensor, " B"]
    ) -> Float[Tensor, "B S N C"]:
        """The tokens before the first block, told the target of each video."""
        frames = patches.shape[1]
        is_target = targets[:, None] == torch.arange(frames, device=targets.device)
        target, other = self.aggregation_token[0].to(patches.dtype)
        aggregation = torch.where(is_target[..., None, None], target, other)  # [B,S,K,C]
        specials = self.specials(frames).to(patches.dtype)
        if self.adds:
            return behind(specials, patches + aggregation)
        specials = specials.expand(len(patches), -1, -1, -1)
        return behind(torch.cat([specials, aggregation], dim=2), patches)


@dataclass(frozen=True)
class Encoded:
    """What all targets share: DINOv2's patch tokens of images of `size` (height, width)."""

    patches: Float[Tensor, "B S P C"]
    size: tuple[int, int]


@dataclass(frozen=True)
class Complet4rOutput:
    """All of eq. 1 for one target a video.

    poses: camera from world after every refinement; `models.vggt.cameras_of` reads them.
    depth: z-depth. points: of every pixel at the target's time. Confidences are above 1.
    """

    poses: Float[Tensor, "iterations B S 9"]
    depth: Float[Tensor, "B S H W"]
    depth_confidence: Float[Tensor, "B S H W"]
    points: Float[Tensor, "B S H W 3"]
    points_confidence: Float[Tensor, "B S H W"]


class Complet4r(nn.Module):
    """The network. In bfloat16 under autocast, or with `aggregator.bfloat16()`, as VGGT."""

    Config = Complet4rConfig
    TRUNK: ClassVar = ("aggregator",)  # may run in half precision

    def __init__(self, config: Complet4rConfig) -> None:
        super().__init__()
        self.config = config
        self.aggregator = TargetAggregator(config)
        self.camera_head = CameraHead(config)
        self.depth_head = Dpt(dpt_config(config, 2))
        self.aggregation_head = Dpt(dpt_config(config, 4))

    @classmethod
    def from_vggt(
        cls, weights: Mapping[str, Tensor], config: Complet4rConfig = Complet4rConfig()
    ) -> "Complet4r":
        """The network before training: VGGT's tensors, and aggregation tokens that are new.

        weights: those of a VGGT, which the network takes over as they are (no copies).
        Raises InputError when they are not those of a VGGT of these sizes.
        """
        with torch.device("meta"):
            network = cls(config)
        renames = {name: renamed_vggt(name) for name in weights}
        taken = {ours: weights[name] for name, ours in renames.items() if ours is not None}
        taken[NEW] = 1e-6 * torch.randn(network.aggregator.aggregation_token.shape)
        try:
            network.load_state_dict(taken, assign=True)
        except RuntimeError as error:
            raise InputError(f"these are not the weights of such a VGGT: {error}") from error
        return network

    def forward(
        self, images: Float[Tensor, "B S 3 H W"], targets: Int[Tensor, " B"]
    ) -> Complet4rOutput:
        """`reconstruct` of what `encode` makes of the images."""
        return self.reconstruct(self.encode(images), targets)

    def encode(self, images: Float[Tensor, "B S 3 H W"]) -> Encoded:
        """The part that all targets share; images in [0,1], sides multiples of the patch."""
        return Encoded(self.aggregator.patches(images), (images.shape[-2], images.shape[-1]))

    def reconstruct(self, encoded: Encoded, targets: Int[Tensor, " B"]) -> Complet4rOutput:
        """Cameras, depth and points of one pass; targets: a frame of each video."""
        batch, size = len(encoded.patches), encoded.size
        heads = [self.depth_head, self.aggregation_head]
        aimed = self.aggregator.aimed
        cameras, maps = self.aggregator.gather(aimed(encoded.patches, targets), size, heads)
        with own_precision(cameras):
            poses = self.camera_head(cameras)
            depth, depth_confidence = depth_of(self.depth_head.predict(maps[0], size), batch)
            points, confidence = points_of(self.aggregation_head.predict(maps[1], size), batch)
        if self.config.representation == "offset":
            points = points + own_points(poses[-1], depth)
        return Complet4rOutput(poses, depth, depth_confidence, points, confidence)

    def aggregate(
        self,
        encoded: Encoded,
        targets: Int[Tensor, "B T"],
        own: Float[Tensor, "B S H W 3"] | None = None,
    ) -> tuple[Float[Tensor, "B T S H W 3"], Float[Tensor, "B T S H W"]]:
        """Every frame's points at the times of several targets, and their confidences.

        own: points at their frames' own times (`own_points`), which offsets are added to.
        """
        if self.config.representation == "offset" and own is None:
            raise InputError("this network predicts offsets: pass the points at their own times")
        videos = len(targets)
        patches = encoded.patches.repeat_interleave(targets.shape[1], dim=0)
        tokens = self.aggregator.aimed(patches, targets.flatten())
        del patches  # the tokens hold a copy
        _, maps = self.aggregator.gather(tokens, encoded.size, [self.aggregation_head])
        with own_precision(encoded.patches):
            raw = self.aggregation_head.predict(maps[0], encoded.size)
            answer, confidence = points_of(raw, targets.numel())
        points = answer.unflatten(0, (videos, -1))
        if own is not None and self.config.representation == "offset":
            points = points + own[:, None]
        return points, confidence.unflatten(0, (videos, -1))


def own_points(
    poses: Float[Tensor, "B S 9"], depth: Float[Tensor, "B S H W"]
) -> Float[Tensor, "B S H W 3"]:
    """Points of all pixels at their frames' own times, from cameras and depth."""
    motion, intrinsics = decode_camera(poses, (depth.shape[-2], depth.shape[-1]))
    return points_of_pixels(depth, inverse_motion(motion), intrinsics)
