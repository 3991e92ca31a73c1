"""The command line: `worldline reconstruct`, `view`, `export`, `report` and others."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import worldline
from worldline.cli.failures import report_failure, terminable

DESCRIPTION = """Turns a video, or one image, into a queryable 4D scene.

worldline --version prints the version. Exit codes: 0 done, 2 the input or an option cannot be
used, 3 the disk refuses, 4 no scene can be made of the input, 5 a download failed, 130 stopped by
Ctrl-C, 1 a bug, or (data check) something is missing."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = [str(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    try:
        with terminable():
            code = _run(arguments)
            sys.stdout.flush()  # here, where a closed pipe is still ours to handle
    except SystemExit as asked:  # tyro: help was printed, or the options make no sense
        code = asked.code if isinstance(asked.code, int) else 0
    except BaseException as error:
        code = report_failure(error, arguments)
    return code


def _run(arguments: list[str]) -> int:
    from worldline.cli.output import console

    if arguments == ["--version"]:
        console().print(f"worldline {worldline.__version__}")
        return 0
    import tyro

    result = tyro.extras.subcommand_cli_from_dict(
        _verbs(),
        args=arguments or ["--help"],
        prog="worldline",
        description=DESCRIPTION,
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.PositionalMetavarFromFieldName),
    )
    return int(result or 0)


def _verbs() -> dict[str, Callable[..., Any]]:
    from worldline.cli.compare import compare
    from worldline.cli.data import data
    from worldline.cli.demo import demo
    from worldline.cli.doctor import doctor
    from worldline.cli.download import download
    from worldline.cli.eval import evaluate
    from worldline.cli.export import export
    from worldline.cli.info import info
    from worldline.cli.reconstruct import reconstruct
    from worldline.cli.report import report
    from worldline.cli.synth import synth
    from worldline.cli.view import view

    return {
        "reconstruct": reconstruct,
        "info": info,
        "report": report,
        "compare": compare,
        "view": view,
        "export": export,
        "doctor": doctor,
        "demo": demo,
        "synth": synth,
        "eval": evaluate,
        "data": data,
        "download": download,
    }
