"""Types of the commands' options: what the help shows as their values."""

from pathlib import Path
from typing import Annotated, TypeAlias

from tyro.conf import arg

from worldline.systems.registry import SYSTEMS

Flag: TypeAlias = Annotated[bool, arg(help_behavior_hint="")]
Folder: TypeAlias = Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")]
Page: TypeAlias = Annotated[Path | None, arg(metavar="HTML", help_behavior_hint="")]
Picture: TypeAlias = Annotated[Path | None, arg(metavar="PNG", help_behavior_hint="")]
Source: TypeAlias = Annotated[Path | None, arg(metavar="PATH", help_behavior_hint="")]
Video: TypeAlias = Annotated[Path | None, arg(metavar="VIDEO", help_behavior_hint="")]
Text: TypeAlias = Annotated[str | None, arg(metavar="TEXT", help_behavior_hint="")]
Number: TypeAlias = Annotated[float | None, arg(metavar="NUMBER", help_behavior_hint="")]
Count: TypeAlias = Annotated[int | None, arg(metavar="N", help_behavior_hint="")]
Whole: TypeAlias = Annotated[int, arg(metavar="N")]
Pixels: TypeAlias = Annotated[int | None, arg(metavar="PIXELS")]
SystemName: TypeAlias = Annotated[
    str,
    arg(metavar="NAME", help="; ".join(f"{one.name}: {one.summary}" for one in SYSTEMS.values())),
]
