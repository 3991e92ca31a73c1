"""Complet4R: all frames' points at any chosen time, from one pass of one network a time."""

from worldline.systems.complet4r.system import complet4r

__all__ = ["complet4r"]
