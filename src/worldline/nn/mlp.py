"""Two linear layers with a GELU between them."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu


class Mlp(nn.Module):
    """``fc2(gelu(fc1(x)))``; the GELU is exact, or the tanh formula that some networks take."""

    def __init__(
        self, width: int, hidden: int, out: int, approximate: Literal["none", "tanh"] = "none"
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, out)
        self.approximate = approximate

    def forward(self, x: Float[Tensor, "*B width"]) -> Float[Tensor, "*B out"]:
        """The values, of width `out`."""
        return self.fc2(gelu(self.fc1(x), approximate=self.approximate))
