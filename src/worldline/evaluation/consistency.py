"""What can be said of a scene without any truth: what it calls moving, and how well it explains
its own pictures.
"""

import numpy as np

from worldline.scene import Scene
from worldline.selfcheck.residuals import flow_residuals, pairs_of

GAPS = (1, 4)  # frames from one picture to the other


def consistency(scene: Scene) -> dict[str, float]:
    """``called_moving``, and ``flow_residual_1`` and ``_4`` for pictures so many frames apart."""
    numbers = {"called_moving": called_moving(scene)}
    return numbers | {f"flow_residual_{gap}": flow_residual(scene, gap) for gap in GAPS}


def called_moving(scene: Scene) -> float:
    """The share of all pixels with dynamic > 0.5."""
    # frame by frame, so that no array of a long clip is held whole
    return float(np.mean([(frame > 0.5).mean() for frame in scene.dynamic]))


def flow_residual(scene: Scene, gap: int) -> float:
    """How far static pixels are seen from where depth and cameras put them ``gap`` frames later.

    In pixels of the scene's frames: the median over pairs of frames, spread over the clip so that
    their number is bounded, of each pair's median. NaN where no pair shows enough static pixels.
    """
    if len(scene) <= gap:
        return float("nan")
    residuals = flow_residuals(scene, pairs_of(len(scene), gap))
    known = residuals[np.isfinite(residuals)]
    return float(np.median(known)) if len(known) else float("nan")
