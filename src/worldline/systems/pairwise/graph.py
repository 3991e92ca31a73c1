"""One world out of pairs: a similarity for every frame that agrees with all its pairs.

A pair holds points of both its frames in one camera's axes and one unit of length. Each frame's
own points fit into each of its pairs by a similarity, found robustly, since what moves and what is
badly guessed does not fit; the two of a pair relate its frames. Frames are placed along the tree
of the best pairs, and then moved to where all their pairs want them on average.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from torch import Tensor

from worldline.geometry.alignment import robust_similarity, similarity
from worldline.threads import one_thread

_ROUNDS = 300  # what a pair knows spreads by one pair a round
_SURE = 1e-3  # residual, relative to the distance, below which pairs are equally good


@one_thread()
def place_frames(
    own: Float[Tensor, "N M 3"],
    pairs: Int[Tensor, "K 2"],
    first: Float[Tensor, "K M 3"],
    second: Float[Tensor, "K M 3"],
    first_weight: Float[Tensor, "K M"],
    second_weight: Float[Tensor, "K M"],
) -> tuple[Float[Tensor, "N 4 4"], Float[Tensor, " K"]]:
    """Similarities from each frame's camera and unit into the first frame's.

    own: points of the frames. first, second: the same points in each pair's axes and unit.
    Weights are relative. Returns with them the median residual of each pair, relative to the
    points' distance. Points that are too few or all alike raise InputError.
    """
    of_first, error = _fitted(own[pairs[:, 0]], first, first_weight)
    of_second, other = _fitted(own[pairs[:, 1]], second, second_weight)
    first_from_second = torch.linalg.inv(of_first) @ of_second
    residual = torch.maximum(error, other)
    start = _along_tree(len(own), pairs, first_from_second, residual)
    size = own.norm(dim=-1).median(dim=1).values
    return _averaged(start, pairs, first_from_second, residual, size), residual


def split(
    matrix: Float[Tensor, "*b 4 4"],
) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b 3 3"], Float[Tensor, "*b 3"]]:
    """(scale, R, t) of similarities."""
    scale = torch.linalg.det(matrix[..., :3, :3]) ** (1 / 3)
    return scale, matrix[..., :3, :3] / scale[..., None, None], matrix[..., :3, 3]


def _fitted(
    source: Float[Tensor, "K M 3"], target: Float[Tensor, "K M 3"], weight: Float[Tensor, "K M"]
) -> tuple[Float[Tensor, "K 4 4"], Float[Tensor, " K"]]:
    """Errors count relative to the distance; the residual is that at the mean weight."""
    share = weight / weight.mean(dim=1, keepdim=True).clamp_min(1e-12)
    return robust_similarity(source, target, share / target.square().sum(dim=-1))


def _along_tree(
    count: int,
    pairs: Int[Tensor, "K 2"],
    first_from_second: Float[Tensor, "K 4 4"],
    residual: Float[Tensor, " K"],
) -> Float[Tensor, "N 4 4"]:
    """Each frame from the one before it on the tree of least residuals, from the first frame."""
    edge = {tuple(pair): k for k, pair in enumerate(pairs.tolist())}
    cost = {tuple(sorted(pair)): float("inf") for pair in edge}
    for pair, k in edge.items():
        ends = tuple(sorted(pair))
        cost[ends] = min(cost[ends], float(residual[k]) + _SURE)
    rows, columns = np.array(list(cost)).T
    table = coo_array((list(cost.values()), (rows, columns)), shape=(count, count)).tocsr()
    order, before = breadth_first_order(minimum_spanning_tree(table), 0, directed=False)
    placed = torch.eye(4, dtype=first_from_second.dtype).repeat(count, 1, 1)
    for j in order[1:].tolist():
        i = int(before[j])
        forth, back = edge.get((i, j)), edge.get((j, i))
        if back is None or (forth is not None and residual[forth] <= residual[back]):
            placed[j] = placed[i] @ first_from_second[forth]
        else:
            placed[j] = placed[i] @ torch.linalg.inv(first_from_second[back])
    return placed


def _averaged(
    placed: Float[Tensor, "N 4 4"],
    pairs: Int[Tensor, "K 2"],
    first_from_second: Float[Tensor, "K 4 4"],
    residual: Float[Tensor, " K"],
    size: Float[Tensor, " N"],
) -> Float[Tensor, "N 4 4"]:
    """Every frame halfway to where its pairs want it, again and again.

    Pairs that disagree with most count less (Cauchy). size: typical distance of each frame's
    points, in its unit, by which turns are weighed against shifts.
    """
    near, far = torch.cat([pairs, pairs.flip(1)]).T
    near_from_far = torch.cat([first_from_second, torch.linalg.inv(first_from_second)])
    trust = (1 / (residual.square() + _SURE**2)).repeat(2)
    for _ in range(_ROUNDS):
        wanted = placed[near] @ near_from_far
        scale, _, _ = split(placed[far])
        away = (wanted - placed[far])[:, :3] / scale[:, None, None]
        away[..., 3] /= size[far, None]
        distance = away.flatten(1).norm(dim=1)
        share = trust / (1 + (distance / (3 * distance.median() + 1e-9)).square())
        placed = _halfway(placed, wanted, far, share)
        placed = torch.linalg.inv(placed[0]) @ placed
    return placed


def _halfway(
    placed: Float[Tensor, "N 4 4"],
    wanted: Float[Tensor, "E 4 4"],
    frame: Int[Tensor, " E"],
    share: Float[Tensor, " E"],
) -> Float[Tensor, "N 4 4"]:
    """The mean of where each frame is and of where all that is wanted of it is on average."""
    total = share.new_zeros(len(placed)).index_add(0, frame, share)
    share = share / total[frame]

    def mean(now: Tensor, then: Tensor) -> Tensor:
        weighted = then * share.view(-1, *[1] * (then.dim() - 1))
        return 0.5 * now.index_add(0, frame, weighted)

    (scale, R, t), (scales, Rs, ts) = split(placed), split(wanted)
    U, _, Vt = torch.linalg.svd(mean(R, Rs))
    U[..., 2] *= torch.linalg.det(U @ Vt)[:, None]
    return similarity(mean(scale.log(), scales.log()).exp(), U @ Vt, mean(t, ts))
