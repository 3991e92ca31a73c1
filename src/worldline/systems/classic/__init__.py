"""The classical system: C4D's plan with correspondences and geometry that need no network.

    flow, tracks -> what moves -> cameras from what does not -> static depth -> moving depth, motion

Each step is a stage of its own file and reads top to bottom here.
"""

from worldline.systems.classic.system import classic

__all__ = ["classic"]
