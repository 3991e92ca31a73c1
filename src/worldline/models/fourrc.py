"""4RC: encode a video once, then ask where any frame's points are at any time (Luo et al. 2026).

The symbols are the paper's: frames I_i, tokens Z_i (patches), C_i (camera) and T_i (time), base
geometry P_i, displacements dP_i from time t_i to tau.

    P_i(tau) = P_i(t_i) + dP_i(t_i -> tau)      eq. 2    `world_points`, plus a displacement
    F = E(V)                                    eq. 3    `FourRC.encode`
    (D_i, R_i, theta_i) = D_g(Z_i, C_i)         eq. 4    `FourRC.encode`, geometry and cameras
    dP_q(t_q -> tau) = D_m(Z_q, T_tau, Z_tau)   eq. 5    `MotionDecoder`, `FourRC.displacement`

The encoder and D_g are Depth Anything 3's giant with a time token beside each camera token.
Published by S-Lab for non-commercial use. Code: Luo-Yihang/4RC.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from worldline.geometry.pose_encoding import decode_camera, points_of_pixels
from worldline.models.da3 import DA3Config, project_level
from worldline.nn.activations import confidence, inverse_log
from worldline.nn.anyview import AnyView, Level
from worldline.nn.camera_decoder import CameraDecoder
from worldline.nn.chunking import in_batches
from worldline.nn.dpt import Dpt, DptConfig
from worldline.nn.dpt_windows import read_pixels
from worldline.nn.dual_dpt import DualDpt, Geometry
from worldline.nn.rope import Rotation, patch_positions, positions_with_specials, rotation
from worldline.nn.transformer import AdaLNBlock, CrossBlock

PAIRS = {"cpu": 4, "cuda": 32}  # that are decoded at once


@dataclass(frozen=True)
class FourRCConfig:
    """Sizes. `levels` are the blocks that heads read; the motion decoder is the same for all."""

    dim: int
    depth: int
    heads: int
    alternate_from: int
    levels: tuple[int, ...]
    features: int
    channels: tuple[int, ...]
    motion_depth: int
    motion_heads: int
    qk_norm_from: int | None = None  # None: as `alternate_from`
    rope_from: int | None = None
    swiglu: bool = True
    patch: int = 14
    image: int = 518

    def geometry(self) -> DA3Config:
        """The Depth Anything 3 that encoder and geometry decoder are."""
        return DA3Config(
            dim=self.dim,
            depth=self.depth,
            heads=self.heads,
            alternate_from=self.alternate_from,
            levels=self.levels,
            features=self.features,
            channels=self.channels,
            qk_norm_from=self.qk_norm_from,
            rope_from=self.rope_from,
            swiglu=self.swiglu,
            patch=self.patch,
            image=self.image,
        )


class Latent(NamedTuple):
    """F: all that motion is decoded from (eq. 3), at the four levels. Frames of one or more clips.

    patches: Z, after attention over all frames, with the positions of a grid over `size` pixels.
    times: T.
    """

    patches: tuple[Float[Tensor, "B S P C"], ...]
    times: tuple[Float[Tensor, "B S C"], ...]
    size: tuple[int, int]


@dataclass(frozen=True)
class FourRCViews:
    """D, R and theta of all frames (eq. 4); the world is the first frame's camera.

    cameras: nine numbers each, world from camera (`geometry.pose_encoding`).
    """

    geometry: Geometry
    cameras: Float[Tensor, "B S 9"]


class Displacement(NamedTuple):
    """dP in world axes and its confidence, 1 + exp."""

    points: Float[Tensor, "*shape 3"]
    confidence: Float[Tensor, "*shape"]


class MotionDecoder(nn.Module):
    """D_m (eq. 5): the query frame's patches look at the target's, told the time by AdaLN."""

    def __init__(self, config: FourRCConfig) -> None:
        super().__init__()
        dim, heads, depth = config.dim, config.motion_heads, config.motion_depth
        self.head_dim = dim // heads
        self.cross_blocks = nn.ModuleList(CrossBlock(dim, heads) for _ in range(depth))
        self.self_blocks = nn.ModuleList(AdaLNBlock(dim, heads) for _ in range(depth))

    def forward(
        self,
        queries: Float[Tensor, "Q P C"],
        times: Float[Tensor, "T C"],
        targets: Float[Tensor, "T P C"],
        grid: tuple[int, int],
    ) -> Float[Tensor, "T Q P1 C"]:
        """Z_q of Q frames at T times: the time's token, then the patches, of every pair.

        A target's keys and values are made once for all queries, a query's first projection once
        for all targets. All queries of a target stand in one sequence, which changes nothing:
        tokens that look across do not see each other.
        """
        count, length = len(queries), 1 + queries.shape[1]
        own, across, memory = self._rotations(grid, queries)
        x = _every_pair(times, queries)
        for i, (cross, alone) in enumerate(self._layers()):
            keys = cross.memory(targets, memory)
            first = self._first_queries(cross, times, queries, own) if i == 0 else None
            x = cross(x.flatten(1, 2), keys, across, first).unflatten(1, (count, length))
            condition = times.repeat_interleave(count, dim=0)
            x = alone(x.flatten(0, 1), condition, own).unflatten(0, (-1, count))
        return x

    @property
    def precision(self) -> torch.dtype:
        """That of the matrix products."""
        return self._layers()[0][0].attn.k.weight.dtype

    def _layers(self) -> list[tuple[CrossBlock, AdaLNBlock]]:
        pairs = zip(self.cross_blocks, self.self_blocks, strict=True)
        return cast(list[tuple[CrossBlock, AdaLNBlock]], list(pairs))

    def _first_queries(
        self,
        cross: CrossBlock,
        times: Float[Tensor, "T C"],
        queries: Float[Tensor, "Q P C"],
        own: Rotation,
    ) -> Float[Tensor, "T heads QP1 D"]:
        """What the first block asks, put together from what does not depend on the pair."""
        patches = cross.queries(queries, Rotation(own.cos[1:], own.sin[1:])).transpose(1, 2)
        time = cross.queries(times[:, None])[:, :, 0]
        return (
            _every_pair(time.flatten(1), patches.flatten(2))
            .flatten(1, 2)
            .unflatten(-1, (-1, self.head_dim))
            .transpose(1, 2)
        )

    def _rotations(
        self, grid: tuple[int, int], like: Tensor
    ) -> tuple[Rotation, Rotation, Rotation]:
        """Of one query's tokens, of many in a row, and of a target's patches."""
        positions = positions_with_specials(1, *grid, like.device)
        own = rotation(positions, self.head_dim)
        across = rotation(positions, self.head_dim, group=len(positions))
        return own, across, rotation(patch_positions(*grid, like.device) + 1, self.head_dim)


def _every_pair(
    first: Float[Tensor, "T C"], rest: Float[Tensor, "Q P C"]
) -> Float[Tensor, "T Q P1 C"]:
    """The sequences of all pairs: a token of the target's, then the query's."""
    pairs = (len(first), len(rest))
    lead = first[:, None, None].expand(*pairs, -1, -1)
    return torch.cat([lead, rest.expand(len(first), -1, -1, -1)], dim=2)


class FourRC(nn.Module):
    """The network: `encode` a clip, then ask for `displacement`s."""

    Config: ClassVar = FourRCConfig
    TRUNK: ClassVar = ("backbone", "motion_decoder")  # may run in half precision

    def __init__(self, config: FourRCConfig) -> None:
        super().__init__()
        self.config = config
        da3 = config.geometry()
        self.backbone = AnyView(da3.backbone(time_token=True))
        self.head = DualDpt(da3.head())
        self.cam_dec = CameraDecoder(2 * config.dim)
        self.motion_decoder = MotionDecoder(config)
        self.track_head = Dpt(
            DptConfig(
                dim=config.dim,
                features=config.features,
                channels=config.channels,
                outputs=4,
                relu_trunk=True,
                patch=config.patch,
            )
        )

    def encode(
        self, images: Float[Tensor, "B S 3 H W"], *, coarse_rays: bool = False
    ) -> tuple[Latent, FourRCViews]:
        """F (eq. 3), and depth, rays and cameras of all frames (eq. 4).

        images: in [0,1], sides multiples of 14; the network was trained on no other scaling.
        coarse_rays: keep the coarser levels of the ray maps too, for a loss on them.
        """
        size = (images.shape[-2], images.shape[-1])

        def read(number: int, level: Level) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            assert level.time is not None
            half = level.time[..., self.config.dim :]  # the half that has seen all frames
            patches = level.mixed.to(self.motion_decoder.precision)
            return project_level(self.head, number, level, size), patches, half, level.camera

        maps, mixed, times, cameras = zip(*self.backbone(images, read), strict=True)
        geometry = self.head.geometry(maps, size, coarse=coarse_rays)
        camera = self.cam_dec(cameras[-1].to(self.cam_dec.fc_t.weight.dtype))
        return Latent(mixed, times, size), FourRCViews(geometry, camera)

    def displacement(
        self,
        latent: Latent,
        sources: Sequence[int],
        targets: Sequence[int],
        pixels: Float[Tensor, "M 2"] | None = None,
        *,
        pairs: int | None = None,
    ) -> Displacement:
        """dP from the own time of every source frame to that of every target frame (eq. 5).

        pixels: integer (x, y) to ask for; None asks for all. What they cost is the decoder, which
            needs all patches, and of the head what lies around them.
        pairs: how many (source, target) to decode at once; None: as many as pay on the device.
            Fewer if memory runs out.
        Returns shapes [B,Q,T,H,W] or [B,Q,T,M] for Q sources and T targets.
        """
        return Displacement(
            *(
                torch.cat(part, dim=2)
                for part in zip(
                    *self.displacements(latent, sources, targets, pixels, pairs=pairs), strict=True
                )
            )
        )

    def displacements(
        self,
        latent: Latent,
        sources: Sequence[int],
        targets: Sequence[int],
        pixels: Float[Tensor, "M 2"] | None = None,
        *,
        pairs: int | None = None,
    ) -> Iterator[Displacement]:
        """As `displacement`, some targets after others, so that all N x N need not be held."""
        batch = latent.patches[0].shape[0]
        pairs = pairs or PAIRS["cuda" if latent.patches[0].is_cuda else "cpu"]
        at_once = max(1, pairs // max(1, len(sources) * batch))

        def decode(part: slice) -> Displacement:
            per_clip = [
                self._decode(latent, b, sources, targets[part], pixels) for b in range(batch)
            ]
            return Displacement(*(torch.stack(x) for x in zip(*per_clip, strict=True)))

        for _, answer in in_batches(decode, len(targets), at_once, "target times"):
            yield answer

    def _decode(
        self,
        latent: Latent,
        clip: int,
        sources: Sequence[int],
        targets: Sequence[int],
        pixels: Float[Tensor, "M 2"] | None,
    ) -> Displacement:
        """Shapes [Q,T,H,W] or [Q,T,M] of one clip."""
        size, dtype = latent.size, next(self.motion_decoder.parameters()).dtype
        grid = (size[0] // self.config.patch, size[1] // self.config.patch)
        maps = []
        for level, (patches, times) in enumerate(zip(latent.patches, latent.times, strict=True)):
            queries, seen, time = (
                x.to(dtype)
                for x in (
                    patches[clip, list(sources)],
                    patches[clip, list(targets)],
                    times[clip, list(targets)],
                )
            )
            tokens = self.motion_decoder(queries, time, seen, grid)
            tokens = tokens[:, :, 1:].flatten(0, 1).to(self.track_head.norm.weight.dtype)
            maps.append(self.track_head.project(level, tokens, size))
        if pixels is None:
            raw = self.track_head.predict(maps, size).movedim(1, -1)
        else:
            raw = read_pixels(self.track_head, maps, size, pixels)
        raw = raw.unflatten(0, (len(targets), len(sources))).transpose(0, 1)
        return Displacement(inverse_log(raw[..., :3]), confidence(raw[..., 3]))


def world_points(views: FourRCViews) -> Float[Tensor, "B S H W 3"]:
    """P_i(t_i): depth along the rays of the decoded cameras, in the world."""
    depth = views.geometry.depth
    motion, intrinsics = decode_camera(views.cameras, (depth.shape[-2], depth.shape[-1]))
    return points_of_pixels(depth, motion, intrinsics)


def renamed(name: str) -> str | None:
    """Our name of a published tensor."""
    name = name.removeprefix("model.").replace("backbone.pretrained.", "backbone.")
    for theirs, ours in ((".toq.", ".q."), (".tok.", ".k."), (".tov.", ".v.")):
        name = name.replace(theirs, ours)
    return name


PUBLISHED = {
    "4rc": FourRCConfig(
        dim=1536,
        depth=40,
        heads=24,
        alternate_from=13,
        levels=(19, 27, 33, 39),
        features=256,
        channels=(256, 512, 1024, 1024),
        motion_depth=4,
        motion_heads=16,
    )
}
