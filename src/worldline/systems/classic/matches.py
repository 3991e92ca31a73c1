"""Feature matches where flow cannot follow: wide-baseline stills, jumps within a video."""

import cv2
import numpy as np
import torch
from jaxtyping import Float32
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from worldline.systems.classic.flowbank import FlowBank
from worldline.systems.classic.texture import corner_strength
from worldline.systems.classic.tracks import PixelTracks, hold_ends

_LOST = 0.5  # share of a frame's tracks that must live on for flow to count as following
_FEWEST = 40  # tracks that must
_FEATURES = 3000
_RATIO = 0.8  # Lowe's test
_WINDOW = 4  # frames on either side of a jump that are matched across it
_ALL_PAIRS = 40  # frames: where jumps are common, every pair is matched up to here


def bridge(bank: FlowBank, tracks: PixelTracks) -> PixelTracks:
    """Tracks with matched features added wherever flow lost the picture between two frames."""
    count = len(bank.grey)
    jumps = _jumps(tracks)
    if not jumps:
        return tracks
    pairs = _pairs(jumps, count)
    used = sorted({frame for pair in pairs for frame in pair})
    features = {frame: _features(bank.grey[frame]) for frame in used}
    links = [(a, b, _match(features[a][1], features[b][1])) for a, b in pairs]
    matched = _link(features, links, count, bank)
    return join(tracks, matched) if matched is not None else tracks


def _jumps(tracks: PixelTracks) -> list[int]:
    """Frames t between which and t+1 flow does not lead."""
    seen = tracks.visible
    alive = (seen[:, :-1] & seen[:, 1:]).sum(axis=0)
    share = alive / np.maximum(np.minimum(seen[:, :-1].sum(axis=0), seen[:, 1:].sum(axis=0)), 1)
    return [int(t) for t in np.flatnonzero((share < _LOST) | (alive < _FEWEST))]


def _pairs(jumps: list[int], count: int) -> list[tuple[int, int]]:
    if 4 * len(jumps) >= count - 1 and count <= _ALL_PAIRS:
        return [(a, b) for a in range(count) for b in range(a + 1, count)]
    across = {
        (a, b)
        for t in jumps
        for a in range(max(0, t - _WINDOW + 1), t + 1)
        for b in range(t + 1, min(count, t + 1 + _WINDOW))
    }
    return sorted(across)


def _features(grey: np.ndarray) -> tuple[Float32[np.ndarray, "F 2"], Float32[np.ndarray, "F 128"]]:
    sift = cv2.SIFT_create(nfeatures=_FEATURES, contrastThreshold=0.01)
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
    )


def _consistent(
    a: Float32[np.ndarray, "F 2"], b: Float32[np.ndarray, "G 2"], pairs: np.ndarray
) -> np.ndarray:
    """Matches that one fundamental matrix explains; none if too few agree to mean anything."""
    if len(pairs) < 16:
        return pairs[:0]
    cv2.setRNGSeed(0)
    _, inlier = cv2.findFundamentalMat(
        a[pairs[:, 0]].astype(np.float64),
        b[pairs[:, 1]].astype(np.float64),
        cv2.USAC_MAGSAC,
        1.5,
        0.999,
        5000,
    )
    if inlier is None or inlier.sum() < 16:
        return pairs[:0]
    return pairs[inlier[:, 0] > 0]


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
