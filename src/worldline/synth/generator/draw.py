"""Random numbers that belong to a seed alone, whatever else is drawn beside it."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

NUMBERS = 8192  # a world's share; a mix that needs more is told so


class Draws:
    """Uniform numbers of B seeds, taken in order: float64 on the CPU, the same on every machine."""

    def __init__(self, seeds: Sequence[int]) -> None:
        rows = [
            torch.rand(NUMBERS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
            for seed in seeds
        ]
        self._numbers = torch.stack(rows)
        self._used = 0

    def uniform(
        self, *shape: int, low: float | Tensor = 0.0, high: float | Tensor = 1.0
    ) -> Float[Tensor, "B *shape"]:
        """Numbers between ``low`` and ``high`` (which broadcast)."""
        count = torch.Size(shape).numel()
        taken = self._numbers[:, self._used : self._used + count]
        if taken.shape[1] < count:
            raise AssertionError(f"a world takes more than {NUMBERS} random numbers")
        self._used += count
        return low + (high - low) * taken.reshape(len(taken), *shape)

    def spread(self, *shape: int, low: float, high: float) -> Float[Tensor, "B *shape"]:
        """Numbers whose logarithms are uniform."""
        return low * (high / low) ** self.uniform(*shape)

    def choice(self, weights: Sequence[float], *shape: int) -> Int[Tensor, "B *shape"]:
        """Indices with probabilities in proportion to ``weights``."""
        edges = torch.tensor(weights, dtype=torch.float64).cumsum(0)
        u = self.uniform(*shape) * edges[-1]
        return torch.searchsorted(edges, u.contiguous(), right=True).clamp_max(len(weights) - 1)

    def chance(self, share: float | Tensor, *shape: int) -> Tensor:
        """True with a probability."""
        return self.uniform(*shape) < share
