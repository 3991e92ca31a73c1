"""The pairwise system: a network that sees two frames at a time, and one world out of all pairs.

    pairs -> points of every frame -> one lens -> similarities into one world -> depth, motion

It is what complete reconstruction is compared with (the pairs of St4RTrack in Complet4R's table
1), by any network of DUSt3R's form: DUSt3R and MonST3R, whose points stand where they were seen,
or St4RTrack's weights, which move the first frame's points to the second's time.
"""

from worldline.systems.pairwise.system import pairwise

__all__ = ["pairwise"]
