"""Random worlds and cameras: ``generate(seeds, MIXES["train"], size=..., frames=...)``."""

from worldline.synth.generator.generate import VERSION, fingerprint, generate
from worldline.synth.generator.mix import MIXES, Mix

__all__ = ["MIXES", "VERSION", "Mix", "fingerprint", "generate"]
