"""Frames and tracks with the lens distortion undone that the cameras were solved with."""

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float64

from worldline.systems.classic.flowbank import FlowBank
from worldline.systems.classic.tracks import PixelTracks
from worldline.systems.stages import Arrays


def straightened(
    bank: FlowBank, tracks: PixelTracks, solved: Arrays
) -> tuple[FlowBank, PixelTracks]:
    """Frames and tracks with the estimated lens distortion undone."""
    radial = float(solved["radial"])
    if radial == 0.0:
        return bank, tracks
    intrinsics = solved["intrinsics"][0]
    frames = np.stack([_undistorted(frame, intrinsics, radial) for frame in bank.frames])
    return FlowBank(frames), straight_tracks(tracks, solved)


def straight_tracks(tracks: PixelTracks, solved: Arrays) -> PixelTracks:
    """Tracks with the estimated lens distortion undone."""
    radial = float(solved["radial"])
    if radial == 0.0:
        return tracks
    uv = tracks.uv.reshape(-1, 1, 2).astype(np.float64) - 0.5
    corner = _cv_intrinsics(solved["intrinsics"][0])
    straight = cv2.undistortPoints(uv, corner, np.array([radial, 0, 0, 0]), P=corner) + 0.5
    return replace(tracks, uv=straight.reshape(tracks.uv.shape).astype(np.float32))


def _cv_intrinsics(intrinsics: Float64[np.ndarray, "3 3"]) -> Float64[np.ndarray, "3 3"]:
    """Intrinsics for OpenCV, which counts pixels from the centre of the first."""
    return intrinsics - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


def _undistorted(image: np.ndarray, intrinsics: np.ndarray, radial: float) -> np.ndarray:
    corner = _cv_intrinsics(intrinsics)
    size = image.shape[1::-1]
    maps = cv2.initUndistortRectifyMap(
        corner, np.array([radial, 0, 0, 0]), None, corner, size, cv2.CV_32FC1
    )
    return cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
