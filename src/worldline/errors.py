"""The errors a user can meet: each message says what was wrong and what to do about it."""


class WorldlineError(Exception):
    """Base of every error that is the input's or the machine's fault, not a bug of ours."""

    exit_code = 1


class InputError(WorldlineError):
    """The video, image, scene or setting given cannot be used."""

    exit_code = 2


class StorageError(WorldlineError):
    """The disk refused: it is full, read-only, or what it holds is damaged."""

    exit_code = 3


class ReconstructionError(WorldlineError):
    """The input was read, but no scene can be made of it."""

    exit_code = 4


class DownloadError(WorldlineError):
    """What was to be downloaded did not arrive: not there, not allowed, cut off or not intact."""

    exit_code = 5
