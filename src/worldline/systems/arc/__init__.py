"""4RC: one network encodes the clip once; where points are at other times is decoded on demand."""

from worldline.systems.arc.system import arc

__all__ = ["arc"]
