"""synth-bench is what its version says it is, of test seeds alone."""

import pytest

from worldline.errors import InputError
from worldline.synth.bench import HASH, MIX_OF, VERSION, bench_clips, bench_hash, bench_list
from worldline.synth.splits import check_seeds


def test_the_clips_are_those_of_the_version():
    """Whoever changes what the seeds make changes the benchmark: count VERSION up, note it."""
    assert (VERSION, bench_hash()) == (1, HASH)


def test_three_clips_of_every_difficulty_from_the_test_split():
    clips = bench_list()
    assert len(clips) == 3 * len(MIX_OF) == len({one.name for one in clips})
    assert len({one.seed for one in clips}) == len(clips)
    check_seeds("test", [one.seed for one in clips])
    assert {one.frames for one in clips if one.difficulty == "long"} == {300}


def test_clips_are_picked_by_name_or_difficulty():
    picked = [one.name for one in bench_list(["fast", "rigid-2"])]
    assert picked == ["rigid-2", "fast-1", "fast-2", "fast-3"]
    with pytest.raises(InputError, match="no 'easy'"):
        bench_list(["easy"])


@pytest.mark.slow
def test_a_static_clip_stands_and_a_loop_comes_back():
    for one, clip in bench_clips(["static-1", "loop-1"]):
        assert clip.cameras.size == one.size and len(clip) == one.frames
        assert clip.provenance["settings"]["split"] == "test"
        assert clip.views.dynamic.any() == (one.difficulty != "static")
