"""The web server of the live viewer, which opens before a scene is read: browsers start slowly."""

import contextlib
import socket
import sys

import viser

from worldline.errors import InputError

_PORTS_TRIED = 1000  # by viser, one after the other, until one is free


def open_server(host: str = "127.0.0.1", port: int = 8080) -> viser.ViserServer:
    """A server of an empty page; the next free port is taken if this one is not free.

    Raises InputError for a host that is not this machine's, or a port that there is not.
    """
    _check_address(host, port)
    with contextlib.redirect_stdout(sys.stderr):  # viser has a banner of its own
        server = viser.ViserServer(host=host, port=port, label="Worldline", verbose=False)
    server.gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False)
    return server


def address(server: viser.ViserServer) -> str:
    """Where a browser finds the page."""
    host = server.get_host()
    return f"http://{f'[{host}]' if ':' in host else host}:{server.get_port()}"


def close_server(server: viser.ViserServer) -> None:
    """End it, without a word on stdout."""
    with contextlib.redirect_stdout(sys.stderr):
        server.stop()


def _check_address(host: str, port: int) -> None:
    """InputError for an address at which viser's server would wait for ever."""
    if not 0 <= port < 65536 - _PORTS_TRIED:
        raise InputError(f"port {port} cannot be used; take one from 1024 to 64000, or 0 for any")
    try:
        family = socket.getaddrinfo(host, None)[0][0]
        with socket.socket(family) as probe:
            probe.bind((host, 0))
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"the viewer cannot listen at {host!r} ({error}); 127.0.0.1 is this machine"
        ) from error
