"""Which seeds are for what. No world is in two splits, and the test split is never trained on.

A seed is a world: the same seed, mix and version make the same one everywhere. So the splits are
ranges of seeds, and whoever trains, tunes or measures takes seeds from the range of that purpose.
"""

from worldline.errors import InputError

SPLITS = {
    "train": range(0, 1_000_000_000),
    "validation": range(1_000_000_000, 1_001_000_000),  # to choose between what was trained
    "test": range(2_000_000_000, 2_001_000_000),  # to report; synth-bench is made of these
}


def split_range(split: str) -> range:
    """The seeds of a split. Raises InputError for a name that there is not."""
    if split not in SPLITS:
        raise InputError(f"there is no split {split!r}; there is: {', '.join(SPLITS)}")
    return SPLITS[split]


def split_of(seed: int) -> str:
    """The split that a seed belongs to. Raises InputError for one that belongs to none."""
    for name, seeds in SPLITS.items():
        if seed in seeds:
            return name
    raise InputError(f"seed {seed} is in no split; {_told()}")


def check_seeds(split: str, seeds: list[int]) -> None:
    """Raises InputError unless all seeds are the split's own."""
    own = split_range(split)
    for seed in seeds:
        if seed not in own:
            raise InputError(f"seed {seed} is not of the {split} split; {_told()}")


def _told() -> str:
    spans = (f"{name}: {seeds.start} to {seeds.stop - 1}" for name, seeds in SPLITS.items())
    return "; ".join(spans)
