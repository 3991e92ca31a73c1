"""From pictures alone: each reason to doubt a scene is found in a clip made for it, and a good clip
raises none."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from degenerate_worlds import BALL, CORRIDOR, COURT, Film, Solid, coat, film, path

from worldline.selfcheck import Check, check_scene
from worldline.systems.classic import classic
from worldline.systems.stages import Stages


@pytest.fixture(scope="module")
def passing() -> Film:
    """A camera that goes past a ball, as a careful user would film it."""
    return film((*CORRIDOR, BALL), path(8, travel=(1.2, -0.2, 0.5), pan=-4.0))


def checked(made: Film, lens_known: bool = True) -> Check:
    with Stages() as stages:
        return check_scene(classic(made.clip(lens_known), stages, seed=0))


def names(check: Check) -> list[str]:
    return [finding.name for finding in check.findings]


def standing() -> Film:
    return film((*COURT, BALL), path(6))


def turning() -> Film:
    return film((*COURT, BALL), path(8, pan=14.0, tilt=4.0))


def overrun() -> Film:
    """A wall of a box drifts by, and covers seven tenths of the picture."""
    box = Solid((0.12, -0.41, 4.2), (1.55, 0.92, 0.8), coat(5, size=0.3), (0.03, 0.03, 0.0))
    return film((*CORRIDOR, box), path(12, travel=(0.9, -0.2, 0.5), pan=-2.0))


def test_a_good_clip_raises_nothing(passing: Film) -> None:
    check = checked(passing)
    assert names(check) == [] and check.verdict.startswith("Yes")


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (standing, "still"),
        (turning, "rotation"),
        pytest.param(overrun, "moving", marks=pytest.mark.slow),
    ],
)
def test_what_was_filmed_is_doubted_for_what_it_is(make: Callable[[], Film], name: str) -> None:
    assert names(checked(make())) == [name]


def test_a_lens_that_nothing_tells_is_a_guess() -> None:
    assert names(checked(standing(), lens_known=False)) == ["still", "focal"]


def test_a_jump_of_the_exposure_is_found(passing: Film) -> None:
    gain = np.where(np.arange(8) < 4, 0.75, 1.1)[:, None, None, None]
    check = checked(passing.lit(gain))
    assert "exposure" in names(check)
    assert "brighter at frame 4 (0.40 s)" in check.findings[-1].what


def test_a_frame_that_shows_nothing_of_the_scene_is_not_registered(passing: Film) -> None:
    """No track goes through it; those of the frames behind it are related by features."""
    frames = passing.frames.copy()
    noise = np.random.default_rng(0).normal(110, 70, frames[5].shape)
    frames[5] = noise.clip(0, 255).astype(np.uint8)
    check = checked(replace(passing, frames=frames))
    (finding,) = (finding for finding in check.findings if finding.name == "unregistered")
    assert finding.what.endswith("frame 5.")
