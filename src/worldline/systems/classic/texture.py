"""How well a picture fixes positions in it: the structure tensor."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8


@dataclass(frozen=True)
class Structure:
    """Mean outer product of the gradient around each pixel, (grey levels/px)^2.

    It is the information that the picture holds on a pixel's position, up to the noise.
    """

    xx: Float32[np.ndarray, "h w"]
    yy: Float32[np.ndarray, "h w"]
    xy: Float32[np.ndarray, "h w"]

    def halved(self) -> "Structure":
        """That of every second pixel."""
        return Structure(*(np.ascontiguousarray(p[::2, ::2]) for p in (self.xx, self.yy, self.xy)))

    def total(self) -> Float32[np.ndarray, "h w"]:
        """Information in both directions together: the mean square gradient."""
        return self.xx + self.yy

    def weakest(self) -> Float32[np.ndarray, "h w"]:
        """Information in the direction that has the least: the smaller eigenvalue."""
        half = (self.xx - self.yy) / 2.0
        return (self.xx + self.yy) / 2.0 - np.sqrt(half**2 + self.xy**2)

    def along(self, normal: Float32[np.ndarray, "h w 2"]) -> Float32[np.ndarray, "h w"]:
        """Information in one direction, the other being unknown: 1 / (n^T T^-1 n)."""
        x, y = normal[..., 0], normal[..., 1]
        determinant = np.maximum(self.xx * self.yy - self.xy**2, 0.0)
        spread = x * x * self.yy - 2 * x * y * self.xy + y * y * self.xx
        return determinant / (spread + 1e-6)


def structure(grey: UInt8[np.ndarray, "H W"], window: int) -> Structure:
    """The structure tensor of a picture, averaged over `window` x `window` px."""
    gx, gy = (cv2.Scharr(grey, cv2.CV_32F, *axis) / 32.0 for axis in ((1, 0), (0, 1)))
    size = (window, window)
    return Structure(*(cv2.boxFilter(p, cv2.CV_32F, size) for p in (gx * gx, gy * gy, gx * gy)))


def corner_strength(grey: UInt8[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
    """Information in a 7x7 patch's weaker direction: what a tracker can hold on to."""
    return structure(grey, 7).weakest()
