"""CoTracker3 online: follows points through frames that come a few at a time.

A window of frames slides on by half its length; what it overlaps starts from the last window's
estimate. A point is known from the first window on that shows the frame it was asked for in. The
features of one window are all that is kept of a video, however long it is.
"""

import torch
from jaxtyping import Float
from torch import Tensor, cat

from worldline.models.cotracker3 import CoTracker3, Estimate


class Stream:
    """Points (frame, x, y) on their way through one video (in each of a batch)."""

    def __init__(
        self, network: CoTracker3, queries: Float[Tensor, "B N 3"], iterations: int = 6
    ) -> None:
        self.network = network
        self.queries = queries
        self.iterations = iterations
        self.window = network.config.window
        self.step = self.window // 2
        self.first = 0  # frame of the window
        self.maps: list[Tensor] = []  # of all frames from there on, [B,T,h,w,C]
        self.estimate = self.start = network.start(queries, self.window)
        taps = (2 * network.config.radius + 1) ** 2
        support = network.corr_mlp.fc1.weight.new_zeros(
            *queries.shape[:2], taps, network.config.latent
        )
        self.supports = [support] * network.config.levels
        self.done: list[Estimate] = []  # of frames that no window will see again

    def push(self, video: Float[Tensor, "B T 3 H W"]) -> None:
        """Go on with the next frames, of values 0 to 255.

        Raises InputError if their height or width is no multiple of the stride.
        """
        for part in video.split(self.step, dim=1):
            maps = self.network.encode(part.flatten(0, 1))
            new = [each.unflatten(0, part.shape[:2]) for each in maps]
            old = self.maps or [each[:, :0] for each in new]
            self.maps = [cat(pair, dim=1) for pair in zip(old, new, strict=True)]
            # the window waits for a frame more than it has, for the last one ends the video
            while self.maps[0].shape[1] > self.window:
                self._advance()
                self._slide()

    def finish(self) -> Estimate:
        """The estimate of all frames, of which at least one has been pushed.

        Before the first window that shows its frame, a point's estimate says nothing.
        """
        last = self.maps[0].shape[1]
        self._advance()
        parts = [*self.done, Estimate(*(each[:, :, :last] for each in self.estimate))]
        return Estimate(*(cat(each, dim=2) for each in zip(*parts, strict=True)))

    def _advance(self) -> None:
        """Refine the window; where it has fewer frames than it takes, the last one stands still."""
        batch, count = self.maps[0].shape[:2]
        device = self.queries.device
        frames = torch.arange(self.window, device=device).clamp(max=count - 1)
        frames = frames + torch.arange(batch, device=device)[:, None] * count
        asked = self.queries[..., 0].long() - self.first
        maps = [each.flatten(0, 1) for each in self.maps]
        self._meet(maps, frames, asked)
        known = (asked < self.window - self.step)[..., None]
        estimate = Estimate(
            torch.where(known[..., None], self.estimate.xy, self.start.xy),
            torch.where(known, self.estimate.visibility, self.start.visibility),
            torch.where(known, self.estimate.confidence, self.start.confidence),
        )
        self.estimate = self.network.refine(maps, frames, self.supports, estimate, self.iterations)

    def _meet(self, maps: list[Tensor], frames: Tensor, asked: Tensor) -> None:
        """Remember the features around points that were asked for in this window."""
        within = ((asked >= 0) & (asked < self.window))[..., None, None]
        index = frames.gather(1, asked.clamp(0, self.window - 1))
        found = self.network.supports(maps, index, self.start.xy[:, :, 0])
        pairs = zip(found, self.supports, strict=True)
        self.supports = [torch.where(within, new, old) for new, old in pairs]

    def _slide(self) -> None:
        """Half a window on: new frames start where the last known one ended."""
        step = self.step
        self.done.append(Estimate(*(each[:, :, :step].contiguous() for each in self.estimate)))
        self.estimate = Estimate(
            *(cat([each[:, :, step:], *[each[:, :, -1:]] * step], 2) for each in self.estimate)
        )
        self.maps = [each[:, step:] for each in self.maps]
        self.first += step
