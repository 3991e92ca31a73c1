"""What is measured on which clips, and what others have published of it: one TOML file each.

A file of ``benchmarks/`` says all there is to a benchmark: its data, which clips and frames, the
family of metrics with their parameters, the columns of its table and the published rows. Nothing
is computed here.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from worldline.errors import InputError

FOLDER = Path(__file__).parent / "benchmarks"
FAMILIES = (
    "complete4d",
    "depth",
    "masks",
    "mobility",
    "poses",
    "scene",
    "surfaces",
    "tapvid2d",
    "tapvid3d",
    "tracks3d",
    "views",
)
DATASETS = (  # the modules that read them
    "bonn",
    "davis",
    "dycheck",
    "folder",
    "kitti_depth",
    "kubric_dense",
    "movi",
    "nrgbd",
    "sailvos3d",
    "scannet",
    "seven_scenes",
    "sintel",
    "synth_bench",
    "tapvid",
    "tapvid3d",
    "tum_dynamics",
    "worldtrack",
)


@dataclass(frozen=True)
class Column:
    """A number of the table: ``unit`` as published ("" for none), ``better`` higher or lower."""

    key: str
    title: str
    unit: str
    better: str


@dataclass(frozen=True)
class Row:
    """What was published of a system, and where; a number that was not given is NaN."""

    system: str
    source: str
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Frames:
    """``count`` frames (None: all) of a clip from ``first`` on, ``every`` so many."""

    first: int = 0
    count: int | None = None
    every: int = 1

    @property
    def slice(self) -> slice | None:
        """The same for a reader; None: all."""
        if self == Frames():
            return None
        end = None if self.count is None else self.first + self.count * self.every
        return slice(self.first, end, self.every)

    def chosen(self, total: int) -> range:
        """Which frames of a clip that has ``total``."""
        return range(self.first, total, self.every)[: self.count]


@dataclass(frozen=True)
class Benchmark:
    """One file of ``benchmarks/``; see the module.

    ``dataset`` is the module that reads the data and ``part`` which part of it. Either ``clips``
    are named or ``rule`` says in words which there are. ``family`` is the kind of metrics and
    ``parameters`` what they take. ``baselines`` are systems of ours that belong into the table.
    """

    name: str
    title: str
    dataset: str
    part: str | None
    clips: tuple[str, ...]
    rule: str | None
    frames: Frames
    family: str
    parameters: Mapping[str, Any]
    columns: tuple[Column, ...]
    published: tuple[Row, ...]
    baselines: tuple[str, ...]


def names() -> list[str]:
    """The benchmarks that there are."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Benchmark:
    """A benchmark by its name; InputError lists those there are."""
    if name not in names():
        raise InputError(f"There is no benchmark {name!r}; there are {', '.join(names())}.")
    return read(FOLDER / f"{name}.toml")


def read(path: Path) -> Benchmark:
    """A benchmark's file; InputError names the file and the key that is wrong in it."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path.name}: cannot be read as TOML: {error}") from error
    return _benchmark(_Keys(path, content))


def _benchmark(keys: "_Keys") -> Benchmark:
    columns = _columns(keys)
    protocol = keys.table("protocol")
    benchmark = Benchmark(
        name=keys.text("name"),
        title=keys.text("title"),
        dataset=keys.one_of("dataset", DATASETS),
        part=keys.text("part") if "part" in keys else None,
        clips=keys.texts("clips"),
        rule=keys.text("rule") if "rule" in keys else None,
        frames=_frames(keys.table("frames")) if "frames" in keys else Frames(),
        family=protocol.one_of("family", FAMILIES),
        parameters=MappingProxyType(protocol.rest()),
        columns=columns,
        published=tuple(_row(each, columns) for each in keys.tables("published")),
        baselines=keys.texts("baselines"),
    )
    if benchmark.name != keys.path.stem:
        keys.wrong("name", f"must be {keys.path.stem!r} as the file is")
    if bool(benchmark.clips) == bool(benchmark.rule):
        keys.wrong("clips", "must be named, or a rule given for them, and not both")
    keys.nothing_left()
    return benchmark


def _columns(keys: "_Keys") -> tuple[Column, ...]:
    columns = tuple(_column(each) for each in keys.tables("columns"))
    if len({column.key for column in columns}) < max(len(columns), 1):
        keys.wrong("columns", "must be there, each key once")
    return columns


def _column(keys: "_Keys") -> Column:
    column = Column(
        keys.text("key"),
        keys.text("title"),
        keys.text("unit"),
        keys.one_of("better", ("higher", "lower")),
    )
    keys.nothing_left()
    return column


def _frames(keys: "_Keys") -> Frames:
    frames = Frames(
        keys.whole("first", 0) if "first" in keys else 0,
        keys.whole("count", 1) if "count" in keys else None,
        keys.whole("every", 1) if "every" in keys else 1,
    )
    keys.nothing_left()
    return frames


def _row(keys: "_Keys", columns: tuple[Column, ...]) -> Row:
    table = keys.table("numbers")
    numbers = {column.key: table.number(column.key) for column in columns}
    table.nothing_left()
    row = Row(keys.text("system"), keys.text("source"), MappingProxyType(numbers))
    keys.nothing_left()
    return row


class _Keys:
    """A table of the file that is taken key by key; what nobody took is a mistake."""

    def __init__(self, path: Path, content: Any, where: str = "") -> None:
        self.path, self._where = path, where
        if not isinstance(content, dict):
            raise InputError(f"{path.name}: {where or 'the file'} must be a table.")
        self._content = dict(content)

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def wrong(self, key: str, what: str) -> None:
        """Raises the error."""
        raise InputError(f"{self.path.name}: {self._name(key)} {what}.")

    def text(self, key: str) -> str:
        """A string that must be there."""
        value = self._take(key)
        if not isinstance(value, str):
            self.wrong(key, f"must be a string, not {value!r}")
        return value

    def one_of(self, key: str, known: tuple[str, ...]) -> str:
        """A string that must be one of those known."""
        value = self.text(key)
        if value not in known:
            self.wrong(key, f"is {value!r}, but must be one of {', '.join(known)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Strings, none if the key is not there."""
        values = self._content.pop(key, [])
        if not (isinstance(values, list) and all(isinstance(each, str) for each in values)):
            self.wrong(key, "must be a list of strings")
        return tuple(values)

    def whole(self, key: str, least: int) -> int:
        """A whole number of at least so much."""
        value = self._take(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self.wrong(key, f"must be a whole number from {least} on, not {value!r}")
        return value

    def number(self, key: str) -> float:
        """A number, NaN among them."""
        value = self._take(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.wrong(key, f"must be a number (nan if not given), not {value!r}")
        return float(value)

    def table(self, key: str) -> "_Keys":
        """A table that must be there."""
        return _Keys(self.path, self._take(key), self._name(key))

    def tables(self, key: str) -> list["_Keys"]:
        """A list of tables that must be there."""
        values = self._take(key)
        if not isinstance(values, list):
            self.wrong(key, "must be a list of tables")
        return [
            _Keys(self.path, each, f"{self._name(key)}[{place}]")
            for place, each in enumerate(values)
        ]

    def rest(self) -> dict[str, Any]:
        """Whatever else there is."""
        rest, self._content = self._content, {}
        return rest

    def nothing_left(self) -> None:
        """Raises for a key that nobody took."""
        if self._content:
            self.wrong(next(iter(self._content)), "is not a key that a benchmark has here")

    def _take(self, key: str) -> Any:
        if key not in self._content:
            self.wrong(key, "is missing")
        return self._content.pop(key)

    def _name(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key
