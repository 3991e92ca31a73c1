"""Feature matches over long gaps: they do not creep as chained flow does, and reach farther.

Stills, jumps and wide baselines are bridged by them, and cameras rest on them: a feature found
anew in each frame errs anew in each frame, where a chained track carries its error along.
"""

import contextlib

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from worldline.systems.classic.flowbank import FlowBank
from worldline.systems.classic.texture import corner_strength
from worldline.systems.classic.tracks import PixelTracks, hold_ends

_LOST = 0.5  # share of a frame's tracks that must live on for flow to count as following
_FEWEST = 40  # tracks that must
_PER_FEATURE = 100  # px of a frame for each of its features
_FEWEST_FEATURES = 1000  # that a small frame may have all the same
_RATIO = 0.8  # Lowe's test
_ALL_PAIRS = 25  # frames: up to here every pair is matched
_GAPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)  # beyond, frames so many places apart are
_MOST_FRAMES = 120  # of a long clip whose features are matched; jumps come on top
_ROUND_JUMP = 3  # frames on either side of a jump that are added
_AGREEING = 16  # matches that must share a motion
_MOTIONS = 2  # rigid motions of which a pair's matches may be a mixture


def with_features(bank: FlowBank, tracks: PixelTracks) -> PixelTracks:
    """Tracks of flow and of matched features together."""
    count = len(bank.grey)
    frames = _matched_frames(tracks, count)
    features = {int(frame): _features(bank.grey[frame]) for frame in frames}
    links = [(a, b, _match(features[a][1], features[b][1])) for a, b in _pairs(frames)]
    matched = _link(features, links, count, bank)
    return join(tracks, matched) if matched is not None else tracks


def _matched_frames(tracks: PixelTracks, count: int) -> np.ndarray:
    """Frames spread over the clip, and those around places where flow loses the picture."""
    seen = tracks.visible
    alive = (seen[:, :-1] & seen[:, 1:]).sum(axis=0)
    share = alive / np.maximum(np.minimum(seen[:, :-1].sum(axis=0), seen[:, 1:].sum(axis=0)), 1)
    jumps = np.flatnonzero((share < _LOST) | (alive < _FEWEST))
    around = jumps[:, None] + np.arange(1 - _ROUND_JUMP, _ROUND_JUMP + 1)
    spread = np.linspace(0, count - 1, min(count, _MOST_FRAMES)).round().astype(int)
    return np.union1d(spread, around[(around >= 0) & (around < count)])


def _pairs(frames: np.ndarray) -> list[tuple[int, int]]:
    count = len(frames)
    gaps = range(1, count) if count <= _ALL_PAIRS else _GAPS
    return [(int(frames[k]), int(frames[k + gap])) for gap in gaps for k in range(count - gap)]


def _features(grey: np.ndarray) -> tuple[Float32[np.ndarray, "F 2"], Float32[np.ndarray, "F 128"]]:
    most = max(_FEWEST_FEATURES, grey.size // _PER_FEATURE)
    sift = cv2.SIFT_create(nfeatures=most, contrastThreshold=0.01)
    points, descriptors = sift.detectAndCompute(grey, None)
    if descriptors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    # RootSIFT: Euclidean distance of the roots is Hellinger's of the histograms.
    root = np.sqrt(descriptors / (descriptors.sum(axis=1, keepdims=True) + 1e-7))
    uv = np.array([point.pt for point in points], np.float32) + 0.5
    return uv, root.astype(np.float32)


def _match(a: Float32[np.ndarray, "F 128"], b: Float32[np.ndarray, "G 128"]) -> np.ndarray:
    """Mutual nearest neighbours that pass the ratio test, as rows (index in a, index in b)."""
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), int)
    similarity = torch.from_numpy(a) @ torch.from_numpy(b).T
    best = similarity.topk(2, dim=1)
    back = similarity.argmax(dim=0)
    distance = (2.0 - 2.0 * best.values).clamp_min(0.0).sqrt()
    one = torch.arange(len(a))
    good = (distance[:, 0] < _RATIO * distance[:, 1]) & (back[best.indices[:, 0]] == one)
    return torch.stack([one[good], best.indices[good, 0]], dim=1).numpy()


def _link(
    features: dict[int, tuple[np.ndarray, np.ndarray]],
    links: list[tuple[int, int, np.ndarray]],
    count: int,
    bank: FlowBank,
) -> PixelTracks | None:
    """Matches joined into tracks: one feature of a frame each, two frames at least."""
    start = dict(
        zip(features, np.cumsum([0, *(len(f[0]) for f in features.values())]), strict=False)
    )
    total = sum(len(f[0]) for f in features.values())
    frame_of = np.concatenate([np.full(len(f[0]), t) for t, f in features.items()])
    good = [
        (start[a] + m[:, 0], start[b] + m[:, 1])
        for a, b, pairs in links
        if len(m := _consistent(features[a][0], features[b][0], pairs))
    ]
    if not good:
        return None

    a, b = (np.concatenate(side) for side in zip(*good, strict=True))
    _, label = connected_components(
        coo_array((np.ones(len(a), bool), (a, b)), shape=(total, total)), directed=False
    )
    # A track that would see two features of one frame is ambiguous: those frames are left out.
    key = label.astype(np.int64) * count + frame_of
    _, index, times = np.unique(key, return_index=True, return_counts=True)
    index = index[times == 1]
    labels, row, size = np.unique(label[index], return_inverse=True, return_counts=True)
    uv_all = np.concatenate([f[0] for f in features.values()])
    uv = np.zeros((len(labels), count, 2), np.float32)
    visible = np.zeros((len(labels), count), bool)
    uv[row, frame_of[index]] = uv_all[index]
    visible[row, frame_of[index]] = True
    kept = size >= 2
    uv, visible = uv[kept], visible[kept]
    if not len(uv):
        return None
    return PixelTracks(
        hold_ends(uv, visible),
        visible,
        visible.astype(np.float32),
        np.full(len(uv), 0.5, np.float32),
        _texture(bank, uv, visible),
        np.ones(len(uv), bool),
    )


def _consistent(
    a: Float32[np.ndarray, "F 2"], b: Float32[np.ndarray, "G 2"], pairs: np.ndarray
) -> np.ndarray:
    """Matches that one of few rigid motions explains; none if too few agree to mean anything.

    More than one, since what a single motion keeps may be those of a large mover alone.
    """
    kept = []
    for _ in range(_MOTIONS):
        if len(pairs) < _AGREEING:
            break
        agree = _one_motion(a[pairs[:, 0]], b[pairs[:, 1]])
        if agree.sum() < _AGREEING:
            break
        kept.append(pairs[agree])
        pairs = pairs[~agree]
    return np.concatenate(kept) if kept else pairs[:0]


def _one_motion(
    a: Float32[np.ndarray, "P 2"], b: Float32[np.ndarray, "P 2"]
) -> Bool[np.ndarray, " P"]:
    """Matches that a fundamental matrix of most of them explains."""
    cv2.setRNGSeed(0)
    inlier = None
    with contextlib.suppress(cv2.error):  # an assertion of OpenCV's, where it finds no model
        _, inlier = cv2.findFundamentalMat(
            a.astype(np.float64), b.astype(np.float64), cv2.USAC_MAGSAC, 1.5, 0.999, 5000
        )
    return np.zeros(len(a), bool) if inlier is None else inlier[:, 0] > 0


def _texture(
    bank: FlowBank, uv: Float32[np.ndarray, "M N 2"], visible: np.ndarray
) -> Float32[np.ndarray, " M"]:
    first = visible.argmax(axis=1)
    out = np.zeros(len(uv), np.float32)
    for t in np.unique(first):
        of = np.flatnonzero(first == t)
        strength = corner_strength(bank.grey[t])
        x, y = uv[of, t].astype(int).T
        out[of] = strength[np.clip(y, 0, len(strength) - 1), np.clip(x, 0, strength.shape[1] - 1)]
    return out


def join(a: PixelTracks, b: PixelTracks) -> PixelTracks:
    """Both sets of tracks as one."""
    names = PixelTracks.__dataclass_fields__
    return PixelTracks(*(np.concatenate([getattr(a, n), getattr(b, n)]) for n in names))
