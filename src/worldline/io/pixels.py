"""Pictures as arrays: turning them upright, square pixels, alpha, resizing."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True)
class Turn:
    """One of the eight ways to put a picture upright: transpose first, then mirror."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """The (width, height) of an upright picture whose stored size is given, or the reverse."""
        return (size[1], size[0]) if self.transpose else size

    def apply(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "H W 3"]:
        """Turn a picture upright."""
        if self.transpose:
            image = image.transpose(1, 0, 2)
        if self.mirror_x:
            image = image[:, ::-1]
        if self.mirror_y:
            image = image[::-1]
        return np.ascontiguousarray(image)


UPRIGHT = Turn()

# EXIF tag 274, values 1 to 8
TURN_BY_ORIENTATION = {
    1: UPRIGHT,
    2: Turn(mirror_x=True),
    3: Turn(mirror_x=True, mirror_y=True),
    4: Turn(mirror_y=True),
    5: Turn(transpose=True),
    6: Turn(transpose=True, mirror_x=True),
    7: Turn(transpose=True, mirror_x=True, mirror_y=True),
    8: Turn(transpose=True, mirror_y=True),
}


def turn_of_matrix(matrix: Sequence[int]) -> Turn:
    """Read a video's display matrix (9 numbers, row by row: x' = a x + c y, y' = b x + d y).

    Angles in between are taken to the nearest quarter turn.
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(transpose=True, mirror_x=c < 0, mirror_y=b < 0)
    return Turn(mirror_x=a < 0, mirror_y=d < 0)


def over_black(rgba: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 3"]:
    """Compose straight alpha over black."""
    # cv2 rounds and keeps 8 bits: no picture-sized floats
    alpha = cv2.merge([rgba[..., 3]] * 3)
    return cv2.multiply(np.ascontiguousarray(rgba[..., :3]), alpha, scale=1 / 255)


def resized(image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """Resize to (width, height): area averages where it shrinks, linear where it grows."""
    shrunk = (min(size[0], image.shape[1]), min(size[1], image.shape[0]))
    if shrunk != (image.shape[1], image.shape[0]):
        image = cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA)
    if shrunk != size:
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return image


def stacked(frames: list[np.ndarray]) -> UInt8[np.ndarray, "N H W 3"]:
    """Move equal frames into one array, emptying the list so that memory is not doubled."""
    clip = np.empty((len(frames), *frames[0].shape), np.uint8)
    frames.reverse()
    for index in range(len(clip)):
        clip[index] = frames.pop()
    return clip
