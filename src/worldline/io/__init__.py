"""Pictures in: a video, a folder of images or one image becomes a `Clip` at its working size."""

from worldline.io.clip import Clip
from worldline.io.reading import read_clip

__all__ = ["Clip", "read_clip"]
