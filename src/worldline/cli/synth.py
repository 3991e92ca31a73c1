"""`worldline synth`: clips of synthetic worlds with their exact truth, one or shards of many."""

from pathlib import Path
from typing import Any, Literal

from worldline.cli.options import Count, Flag, Folder, Text, Whole
from worldline.cli.output import console, print_json
from worldline.cli.progress import progress, shown
from worldline.errors import InputError
from worldline.systems.listener import StageListener

Extra = Literal["instance", "normals", "flow"]


def synth(  # noqa: PLR0913 # one name for each choice a user has
    *,
    out: Folder = None,
    seed: Count = None,
    shards: Folder = None,
    count: Count = None,
    split: Text = None,
    per_shard: Whole = 32,
    workers: Count = None,
    mix: str = "train",
    size: str = "480x270",
    frames: Whole = 48,
    rate: float = 24.0,
    samples: Whole = 2,
    sensor: Text = None,
    extra: tuple[Extra, ...] = (),
    overwrite: Flag = False,
    json: Flag = False,
    quiet: Flag = False,
) -> None:
    """Make a clip of a synthetic world with its exact truth, or shards of many.

    With --out, one clip: video.mp4, and the truth as the scene truth.scene. With --shards, a
    split's first COUNT clips as WebDataset tar files; a run that was stopped resumes when the same
    command is given again.

    Args:
        out: directory to write one clip to.
        seed: of its world; 0 if not given. Seeds from 0 are for training, from 1000000000 for
            validation, from 2000000000 for tests.
        shards: directory to write shards to.
        count: how many clips the shards hold.
        split: train, validation or test: whose seeds the shards take (train if not given), or
            where --seed must be from.
        per_shard: clips in each shard.
        workers: processes that write them; without it, one for each core.
        mix: what the worlds are like; a name in worldline.synth.generator.MIXES.
        size: WIDTHxHEIGHT in pixels, both even.
        frames: of each clip.
        rate: frames a second.
        samples: SAMPLES x SAMPLES rays make the colour of a pixel.
        sensor: camera whose faults the frames have, such as phone; without it, none.
        extra: more truth to write as .npy: instance, normals, flow.
        overwrite: replace what is there.
        json: print one JSON object instead of words.
        quiet: show no progress.
    """
    made = {
        "mix": mix,
        "size": parse_size(size),
        "frames": frames,
        "rate": rate,
        "samples": samples,
        "sensor": sensor,
    }
    if (out is None) == (shards is None):
        raise InputError("say where to: --out DIR for one clip, or --shards DIR --count N for many")
    with progress(quiet=quiet) as listener:
        if out is not None:
            if count is not None:
                raise InputError("--count is of --shards; --out writes the one clip of --seed")
            if split is not None:
                from worldline.synth.splits import check_seeds

                check_seeds(split, [seed or 0])
            facts, lines = _one(out, seed or 0, made, extra, overwrite, listener)
        else:
            assert shards is not None
            if count is None or seed is not None or extra:
                raise InputError(
                    "--shards needs --count, takes its seeds from --split and holds all truth: "
                    "leave out --seed and --extra"
                )
            choices = {"per_shard": per_shard, "workers": workers, "overwrite": overwrite}
            facts, lines = _many(
                shards, count, {"split": split or "train", **made}, choices, listener
            )
    if json:
        print_json(facts)
    else:
        console().print("\n".join(lines))


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of "480x270". Raises InputError for other text."""
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise InputError(f"--size is {text!r}; give WIDTHxHEIGHT in pixels, such as 480x270")
    return int(width), int(height)


def _one(
    out: Path,
    seed: int,
    made: dict[str, Any],
    extra: tuple[Extra, ...],
    overwrite: bool,
    listener: StageListener | None,
) -> tuple[dict[str, Any], list[str]]:
    """Write one clip; facts and words about it."""
    from worldline.cli.summary import scene_facts, summary_lines
    from worldline.io.encoder import check_even
    from worldline.synth.clip_files import TOLD, TRUTH, VIDEO, write_clip
    from worldline.synth.clips import make_clip

    check_even(made["size"])
    if out.exists() and not (overwrite and (out / TOLD).is_file()):  # before the work, not after it
        raise InputError(f"{out} exists already; pass --overwrite to replace a clip that is there")
    with shown(listener, "draw"):
        clip = make_clip(seed, progress=_reporter(listener, "draw"), **made)
    with shown(listener, "write"):
        write_clip(clip, out, extras=extra, overwrite=overwrite)
    facts = scene_facts(clip.scene, out / TRUTH) | {"video": str(out / VIDEO)}
    lines = [
        *summary_lines(facts),
        f"video     {out / VIDEO}",
        f"truth     {out / TRUTH}",
        *(f"truth     {path}" for path in sorted(out.glob("*.npy"))),
        f"look      worldline view {out / TRUTH}",
        f"          worldline reconstruct {out / VIDEO}",
    ]
    return facts, lines


def _many(
    directory: Path,
    count: int,
    recipe: dict[str, Any],
    choices: dict[str, Any],
    listener: StageListener | None,
) -> tuple[dict[str, Any], list[str]]:
    """Write shards; facts and words about them."""
    from worldline.synth.shards import Recipe, write_shards

    with shown(listener, "shards"):
        done = write_shards(
            directory, count, Recipe(**recipe), progress=_reporter(listener, "shards"), **choices
        )
    facts = {
        "shards": str(directory),
        "clips": count,
        "written": [path.name for path in done.written],
        "kept": [path.name for path in done.kept],
    }
    words = f"{count} clips in {len(done.written) + len(done.kept)} shards in {directory}"
    return facts, [f"{words}: {len(done.written)} written, {len(done.kept)} there already"]


def _reporter(listener: StageListener | None, stage: str) -> Any:
    """Progress of one stage for the listener; None where nobody listens."""
    if listener is None:
        return None
    return lambda done, total: listener.stage_progress(stage, done, total)
