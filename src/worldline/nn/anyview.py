"""The any-view backbone of Depth Anything 3 and 4RC: a DINOv2 that, halfway up, sees all frames.

From block `alternate_from` on, every odd block attends over the tokens of all frames and every
even one stays within its frame. There the class token gives way to a camera token (one value for
the reference frame, one for all others, or given cameras) and, in 4RC, a time token joins it.
A frame's patches keep their rotary positions in per-frame blocks; across frames all patches share
one position, so that only the special tokens have to turn.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from worldline.nn.dino import DinoConfig, DinoTrunk
from worldline.nn.rope import Rotation, positions_with_specials, rotation

Reference: TypeAlias = Literal["first", "balanced"]
Result = TypeVar("Result")

FEW = 3  # with fewer frames the first one is the reference


class Level(NamedTuple):
    """Tokens after one block: of its own frame alone (`local`), and after seeing all (`mixed`).

    Patches of `mixed` went through the backbone's last norm; `local`, camera and time did not.
    """

    local: Float[Tensor, "B S P C"]
    mixed: Float[Tensor, "B S P C"]
    camera: Float[Tensor, "B S C2"]
    time: Float[Tensor, "B S C2"] | None


@dataclass(frozen=True)
class AnyViewConfig:
    """Sizes; `levels` are the blocks after which heads read, the `_from` the first such block."""

    dino: DinoConfig
    alternate_from: int
    rope_from: int
    levels: tuple[int, ...]
    time_token: bool = False


class AnyView(DinoTrunk):
    """The backbone; frames lead the tokens: [B,S,N,C] with specials before the patches."""

    def __init__(self, config: AnyViewConfig) -> None:
        super().__init__(config.dino)
        self.plan = config
        self.camera_token = nn.Parameter(torch.randn(1, 2, config.dino.dim))
        if config.time_token:
            self.time_token = nn.Parameter(torch.randn(1, 1, config.dino.dim))

    def forward(
        self,
        images: Float[Tensor, "B S 3 H W"],
        read: Callable[[int, Level], Result],
        cameras: Float[Tensor, "B S C"] | None = None,
        reference: Reference = "first",
    ) -> list[Result]:
        """What `read(number, level)` returns at every level, in the frames' order.

        images: sides must be multiples of the patch.
        cameras: tokens that take the place of the learned ones.
        reference: the frame whose camera is the world: "balanced" picks one by the class tokens
            if there are three or more, as DA3 does.
        """
        batch, frames = images.shape[:2]
        x = self.embed(images.flatten(0, 1)).unflatten(0, (batch, frames))
        results: list[Result] = []
        local, order, patches = x, None, x.shape[2] - 1
        choose = reference == "balanced" and cameras is None and frames >= FEW
        within, across = self._rotations(images)
        for i, block in enumerate(self.blocks):
            if choose and i == self.plan.alternate_from - 1:
                order = reference_first(balance(x[:, :, 0]).argmin(dim=1), frames)
                x, local = reordered(x, order), reordered(local, order)
            if i == self.plan.alternate_from:
                x = self._with_special_tokens(x, cameras)
            turned = i >= self.plan.rope_from
            if i >= self.plan.alternate_from and i % 2 == 1:
                mixed = block(x.flatten(1, 2), across if turned else None)
                x = mixed.unflatten(1, (frames, -1))
            else:
                x = block(x.flatten(0, 1), within(x.shape[2]) if turned else None)
                x = local = x.unflatten(0, (batch, frames))
            if i in self.plan.levels:
                results.append(read(len(results), self._level(local, x, order, patches)))
        return results

    def _with_special_tokens(
        self, x: Float[Tensor, "B S N C"], cameras: Float[Tensor, "B S C"] | None
    ) -> Float[Tensor, "B S M C"]:
        batch, frames = x.shape[:2]
        if cameras is None:
            rest = self.camera_token[:, 1:].expand(1, frames - 1, -1)
            cameras = torch.cat([self.camera_token[:, :1], rest], dim=1).expand(batch, -1, -1)
        specials = [cameras[:, :, None].to(x.dtype)]
        if self.plan.time_token:
            specials.append(self.time_token[:, None].expand(batch, frames, -1, -1))
        return torch.cat([*specials, x[:, :, 1:]], dim=2)

    def _rotations(
        self, images: Float[Tensor, "B S 3 H W"]
    ) -> tuple[Callable[[int], Rotation], Rotation]:
        """Of a frame's tokens, by their number; and of all frames' special tokens.

        All patches at (1,1) and specials at (0,0) is, to attention, patches at (0,0) and specials
        at (-1,-1): the patches are left as they are.
        """
        rows, columns = (size // self.sizes.patch for size in images.shape[-2:])
        dim, patches = self.sizes.dim // self.sizes.heads, rows * columns

        def within(tokens: int) -> Rotation:
            specials = tokens - patches
            return rotation(positions_with_specials(specials, rows, columns, images.device), dim)

        specials = 1 + self.plan.time_token
        corner = torch.full((specials, 2), -1, device=images.device)
        return within, rotation(corner, dim, group=specials + patches)

    def _level(
        self,
        local: Float[Tensor, "B S N C"],
        mixed: Float[Tensor, "B S N C"],
        order: Int[Tensor, "B S"] | None,
        patches: int,
    ) -> Level:
        if order is not None:
            back = order.argsort(dim=1)
            local, mixed = reordered(local, back), reordered(mixed, back)
        specials = mixed.shape[2] - patches
        both = torch.cat([local[:, :, :specials], mixed[:, :, :specials]], dim=-1)
        time = both[:, :, 1] if specials == 2 else None
        return Level(local[:, :, specials:], self.norm(mixed[:, :, specials:]), both[:, :, 0], time)


def balance(classes: Float[Tensor, "B S C"]) -> Float[Tensor, "B S"]:
    """How far each frame is from the middle of all, by its class token; the least is the reference.

    The sum of three distances from the middle of what the frames span (DA3's "saddle balanced"):
    of the mean similarity to the other frames, of the norm and of the variance of the token.
    """
    frames = classes.shape[1]
    norms = classes.norm(dim=-1)
    unit = F.normalize(classes, dim=-1)
    others = unit @ unit.mT - torch.eye(frames, device=unit.device)
    similarity = others.sum(dim=-1)
    scores = torch.stack([similarity / (frames - 1), norms, unit.var(dim=-1)])
    low, high = scores.amin(dim=-1, keepdim=True), scores.amax(dim=-1, keepdim=True)
    return ((scores - low) / (high - low + 1e-8) - 0.5).abs().sum(dim=0)


def reference_first(reference: Int[Tensor, " B"], frames: int) -> Int[Tensor, "B S"]:
    """The frames in order, but for the reference, which comes first."""
    positions = torch.arange(frames, device=reference.device)[None]
    moved = torch.where(positions <= reference[:, None], positions - 1, positions)
    return torch.where(positions == 0, reference[:, None], moved)


def reordered(x: Float[Tensor, "B S N C"], order: Int[Tensor, "B S"]) -> Float[Tensor, "B S N C"]:
    """The frames in another order."""
    return x.take_along_dim(order[:, :, None, None], dim=1)
