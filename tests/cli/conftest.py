"""Running the command line, in this process or in one of its own."""

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from commands import Run, start

import fake_systems
from worldline.cli import main
from worldline.systems import SYSTEMS


@pytest.fixture(autouse=True)
def with_fake_system(monkeypatch):
    monkeypatch.setitem(SYSTEMS, "fake", fake_systems.FAKE)


@pytest.fixture
def cli(capfd) -> Callable[..., Run]:
    """Run the command line in this process."""

    def run(*arguments: object) -> Run:
        code = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Run(code, captured.out, captured.err)

    return run


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen]]:
    """`start`, ending whatever the test leaves running."""
    processes: list[subprocess.Popen] = []

    def begin(*arguments: object, **options: Any) -> subprocess.Popen:
        processes.append(start(arguments, **options))
        return processes[-1]

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
