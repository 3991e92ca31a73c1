"""Geometry by one network, motion by a point tracker: tracks are lifted by the depth below them."""

from worldline.systems.lifted.system import lifted

__all__ = ["lifted"]
