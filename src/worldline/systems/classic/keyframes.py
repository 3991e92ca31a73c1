"""What of a clip the solver looks at: which frames, which pairs of them, which tracks."""

import numpy as np
from jaxtyping import Bool, Float32

_SHARED = 30  # tracks that make two keyframes worth relating
_MOST_KEYFRAMES = 30
_PER_CELL = 2  # tracks kept for each of 16x12 cells of each keyframe


def keyframes(
    uv: Float32[np.ndarray, "M N 2"], visible: Bool[np.ndarray, "M N"], size: tuple[int, int]
) -> np.ndarray:
    """Frames that together show the motion: a new one when the picture has moved or changed."""
    count = visible.shape[1]
    step = 0.03 * max(size)
    while True:
        keys = [0]
        for t in range(1, count):
            both = visible[:, keys[-1]] & visible[:, t]
            few = both.sum() < 0.5 * visible[:, keys[-1]].sum()
            moved = np.linalg.norm(uv[both, t] - uv[both, keys[-1]], axis=-1)
            if few or np.median(moved) > step:
                keys.append(t)
        if keys[-1] != count - 1:
            keys.append(count - 1)
        if len(keys) <= _MOST_KEYFRAMES or step > max(size):
            break
        step *= 1.4
    if len(keys) > _MOST_KEYFRAMES and count > 4 * _MOST_KEYFRAMES:
        return np.array(keys)
    if len(keys) < min(count, 6):  # a short path still wants several looks at it
        keys = sorted(set(np.linspace(0, count - 1, min(count, 6)).round().astype(int)))
    return np.array(keys)


def graph(visible: Bool[np.ndarray, "M K"]) -> list[tuple[int, int]]:
    """Pairs of keyframes to relate: neighbours always, others where they share enough."""
    shared = visible.T.astype(np.float32) @ visible.astype(np.float32)
    a, b = np.triu_indices(len(shared), 1)
    related = (b - a <= 2) | (shared[a, b] >= _SHARED)
    return [(int(i), int(j)) for i, j in zip(a[related], b[related], strict=True)]


def spread_out(
    uv: np.ndarray,
    visible: np.ndarray,
    matched: np.ndarray,
    size: tuple[int, int],
    frames: np.ndarray,
    per_cell: int = _PER_CELL,
) -> Bool[np.ndarray, " M"]:
    """The longest tracks of each cell of each frame: enough, everywhere, and no more.

    Followed and matched ones are chosen apart: the former are longer, the latter do not creep.
    """
    seen = visible[:, frames]
    length = seen.sum(axis=1)
    columns, rows = (16, 12) if size[0] >= size[1] else (12, 16)
    kept = np.zeros(len(uv), bool)
    longest = np.argsort(-length, kind="stable")
    longest = longest[length[longest] >= 2]
    for kind in (matched, ~matched):
        order = longest[kind[longest]]
        for k, t in enumerate(frames):
            rank = order[seen[order, k]]
            cell = np.clip(
                (uv[rank, t] / size * (columns, rows)).astype(int), 0, (columns - 1, rows - 1)
            )
            code = cell[:, 1] * columns + cell[:, 0]
            by_cell = np.argsort(code, kind="stable")
            start = np.searchsorted(code[by_cell], code[by_cell])
            within = np.arange(len(rank)) - start
            kept[rank[by_cell[within < per_cell]]] = True
    return kept
