"""The self-check of a scene: can it be trusted?"""

from dataclasses import dataclass

from worldline.scene import Scene
from worldline.selfcheck.findings import Finding, find, verdict
from worldline.selfcheck.numbers import Numbers, measure


@dataclass(frozen=True)
class Check:
    """A scene's numbers, and what they give reason to doubt."""

    numbers: Numbers
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """Whether the scene can be trusted, in one line."""
        return verdict(self.findings)


def check_scene(scene: Scene) -> Check:
    """Check a scene against its own pictures; no truth is needed."""
    numbers = measure(scene)
    return Check(numbers, find(numbers))
