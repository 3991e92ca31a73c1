"""`worldline view`: a stored scene in the browser, in one HTML page, or in a turntable video."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from worldline.cli.options import Count, Flag, Whole
from worldline.cli.output import console, print_json

if TYPE_CHECKING:
    from viser import ViserServer

    from worldline.scene import Scene

Page = Annotated[Path | None, tyro.conf.arg(metavar="HTML", help_behavior_hint="")]
Movie = Annotated[Path | None, tyro.conf.arg(metavar="MP4", help_behavior_hint="")]
Host = Annotated[str, tyro.conf.arg(metavar="ADDRESS")]

HOST, PORT = "127.0.0.1", 8080


def view(
    scene: tyro.conf.Positional[Path],
    *,
    host: Host = HOST,
    port: Whole = PORT,
    max_points: Count = None,
    export: Page = None,
    turntable: Movie = None,
    json: Flag = False,
) -> None:
    """Look at a stored scene in the browser, until Ctrl-C.

    With --export or --turntable nothing is served: the page or video is written.

    Args:
        scene: the scene's directory.
        host: where to listen; 127.0.0.1 is reachable from this machine alone.
        port: where to listen; the next free one is taken if it is not free.
        max_points: shown at once, or written to the page or drawn in the video.
        export: write one HTML page that anyone can open, without a network.
        turntable: write a video that sways around the scene while time passes, in minutes.
        json: print one JSON object instead of words.
    """
    import worldline
    from worldline.errors import InputError

    if max_points is not None and max_points < 1:
        raise InputError(f"--max-points is {max_points}; it must be at least 1")
    if export is None and turntable is None:
        if not scene.exists():
            worldline.load_scene(scene)  # tells what is wrong before a page opens
        tell = (lambda url: print_json({"url": url})) if json else tell_url
        serve(
            lambda: [worldline.load_scene(scene)],
            host=host,
            port=port,
            max_points=max_points,
            tell=tell,
        )
        return
    from worldline.viewer.page import write_page
    from worldline.viewer.turntable import write_turntable

    stored = worldline.load_scene(scene)
    some = {} if max_points is None else {"max_points": max_points}
    if export is not None:
        write_page(stored, export, **some)
    if turntable is not None:
        write_turntable(stored, turntable, **some)
    asked = {"page": export, "turntable": turntable}
    written = {name: str(path) for name, path in asked.items() if path is not None}
    if json:
        print_json(written)
        return
    console().print("\n".join(f"{name:<10}{path}" for name, path in written.items()))


def serve(
    scenes: Callable[[], Sequence["Scene"]],
    *,
    scales: Sequence[float] | None = None,
    host: str = HOST,
    port: int = PORT,
    max_points: int | None = None,
    tell: Callable[[str], None],
) -> None:
    """Show one scene, or two beside each other, until Ctrl-C.

    scenes: reads them, while a browser opens the page whose address `tell` is given.
    """
    from worldline.viewer.server import address, close_server, open_server

    server = open_server(host, port)
    try:
        tell(address(server))
        sys.stdout.flush()  # whoever started us may read the address from a pipe
        _show(server, scenes(), scales, max_points)
    finally:
        close_server(server)


def _show(
    server: "ViserServer",
    scenes: Sequence["Scene"],
    scales: Sequence[float] | None,
    max_points: int | None,
) -> None:
    from worldline.viewer.app import Viewer
    from worldline.viewer.state import ViewState

    state = ViewState() if max_points is None else ViewState(budget=max_points)
    Viewer(server, scenes, state, scales=scales).run()


def tell_url(url: str) -> None:
    """Print where to look, for people."""
    console().print(f"look      {url}   (Ctrl-C ends it)")
