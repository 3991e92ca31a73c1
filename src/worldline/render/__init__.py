"""Points become pictures."""

from worldline.render.points import Rendering, View, render_points

__all__ = ["Rendering", "View", "render_points"]
