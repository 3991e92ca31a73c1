"""A small HTTP server with the manners, good and bad, of those that weights come from."""

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REPLY = {200: "OK", 206: "Partial Content"}


@dataclass
class Served:
    """One path. cuts: after how many bytes each of the next answers ends early.

    On the hub, `/.../resolve/...` redirects to where the file lies and tells its size and hash.
    """

    content: bytes
    cuts: list[int] = field(default_factory=list)
    etag: str | None = '"one"'
    ranges: bool = True
    codes: list[int] = field(default_factory=list)  # of the next answers, instead of the file
    redirect: dict[str, str] | None = None


class FileServer:
    """`files["/a"] = Served(b"...")`; what was asked for: `asked`, pairs of path and headers."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, dict(self.headers)))
                outer._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def on_hub(self, file: str, content: bytes, **told: str) -> Served:
        """Put `owner/name/resolve/revision/path` on the hub. What it tells may be wrong."""
        digest = hashlib.sha256(content).hexdigest()
        headers = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        headers |= {name.replace("_", "-"): value for name, value in told.items()}
        self.files[f"/{file}"] = Served(b"", redirect={"Location": f"/cdn/{digest}"} | headers)
        self.files[f"/cdn/{digest}"] = Served(content, etag='"of the cdn"')
        return self.files[f"/cdn/{digest}"]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        served = self.files.get(handler.path)
        if served is None or served.codes:
            handler.send_error(404 if served is None else served.codes.pop(0))
            return
        if served.redirect:
            handler.send_response(302)
            for name, value in (served.redirect | {"Content-Length": "0"}).items():
                handler.send_header(name, value)
            handler.end_headers()
            return
        self._send(handler, served)

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, served: Served) -> None:
        begin = 0
        if served.ranges and (wanted := handler.headers.get("Range")):
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(served.content):
                handler.send_error(416)
                return
        handler.send_response(206 if begin else 200)
        handler.send_header("Content-Length", str(len(served.content) - begin))
        if served.etag:
            handler.send_header("ETag", served.etag)
        if begin:
            end = len(served.content)
            handler.send_header("Content-Range", f"bytes {begin}-{end - 1}/{end}")
        handler.end_headers()
        left = served.content[begin:]
        handler.wfile.write(left[: served.cuts.pop(0)] if served.cuts else left)
        handler.close_connection = True
