"""Downloads weights: resumed after a cut, checked by size and SHA-256, whole or absent.

Files lie in `$WORLDLINE_WEIGHTS`, or in `worldline/weights` of the user's cache. The Hugging Face
hub is plain HTTPS: it redirects to the file, and says the file's size and SHA-256 on the way.
`$HF_ENDPOINT` names another hub (a mirror), `$HF_TOKEN` is sent to it for files that ask for one.
"""

import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO

from worldline.errors import DownloadError, InputError, StorageError
from worldline.scene.store import atomic_file, write_bytes

Teller = Callable[[int, int | None], None]  # bytes that are there, bytes in all where known

_TRIES = 5  # in a row that bring nothing new
_PAUSE = 0.5  # seconds before the first of them, then twice as long each
_PATIENCE = 30.0  # seconds without a byte
_CHUNK = 1 << 20
_HUB = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:/([^@#]+))?(?:@([\w./-]+))?$")
_DEFAULT_FILE = "model.safetensors"


@dataclass(frozen=True)
class Place:
    """Where a file comes from and where it lies on this machine."""

    url: str
    path: Path
    member: str | None = None  # of the zip archive at `path`
    hub: bool = False

    @property
    def file(self) -> Path:
        """The file of weights: what `url` names, or what was taken out of it."""
        return (
            self.path if self.member is None else self.path.with_suffix("") / Path(self.member).name
        )


@dataclass(frozen=True)
class Told:
    """What a server says of a file. `mark` changes when the file does."""

    size: int | None
    sha256: str | None
    mark: str | None


class _CutError(Exception):
    """The connection ended before the file did."""


def cache_folder() -> Path:
    """Where downloaded weights lie."""
    if chosen := os.environ.get("WORLDLINE_WEIGHTS"):
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "worldline" / "weights"


def place(source: str) -> Place:
    """Where `hub:owner/name[/file][@revision]` or `https://...[#member of a zip]` is and will lie.

    A file of the hub that is not named is `model.safetensors`. Raises InputError for other text.
    """
    if found := _HUB.match(source):
        repository, file, revision = found[1], found[2] or _DEFAULT_FILE, found[3] or "main"
        hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        url = f"{hub}/{repository}/resolve/{urllib.parse.quote(revision, safe='')}/{file}"
        return Place(url, _inside("hub", repository, revision, file), hub=True)
    url, _, member = source.partition("#")
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.path.strip("/"):
        raise InputError(f"{source!r} is neither hub:OWNER/NAME[/FILE] nor a URL of a file.")
    path = _inside("url", parts.netloc.replace(":", "_"), urllib.parse.unquote(parts.path))
    return Place(url, path, member or None)


def download(source: str, *, sha256: str | None = None, tell: Teller | None = None) -> Path:
    """The file of weights that `source` names (see `place`), downloaded unless it is there.

    sha256: what the file must have, on top of what the hub says.

    Raises DownloadError where it cannot be had or is not what it should be, StorageError where the
    disk refuses, InputError for a source that is none.
    """
    at = place(source)
    if at.file.is_file():
        return at.file
    if not at.path.is_file():
        _fetch(at, sha256 if at.member is None else None, tell or (lambda done, total: None))
    if at.member is not None:
        _take_out(at, sha256)
    return at.file


def recorded_sha256(file: Path) -> str | None:
    """The SHA-256 that was checked when `file` was downloaded, if it was, and not changed since."""
    try:
        record = json.loads(_record(file).read_text(encoding="utf-8"))
        return str(record["sha256"]) if record["size"] == file.stat().st_size else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _fetch(at: Place, sha256: str | None, tell: Teller) -> None:
    partial = at.path.with_name(f".{at.path.name}.partial")
    try:
        at.path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab+") as file:
            _alone(file, at)
            told, digest = _complete(at, file, tell)
            _check(at.url, Path(file.name), told.sha256, digest)
            _check(at.url, Path(file.name), sha256, digest)
            os.fsync(file.fileno())
            _write_record(at.path, at.url, file.seek(0, os.SEEK_END), digest)
            partial.replace(at.path)
    except OSError as error:
        raise StorageError(f"{partial} cannot be written: {error.strerror or error}") from error
    _mark_of(partial).unlink(missing_ok=True)


def _complete(at: Place, file: BinaryIO, tell: Teller) -> tuple[Told, str]:
    """Append to `file` until it is whole. What the server says of it, and its SHA-256."""
    tries = 0
    while True:
        begun = file.seek(0, os.SEEK_END)
        try:
            return _receive(at, file, begun, tell)
        except _CutError as cut:
            kept = file.seek(0, os.SEEK_END)
            tries = 0 if kept > begun else tries + 1
            if tries == _TRIES:
                raise DownloadError(
                    f"{at.url}: {cut}; {kept / 1e6:.1f} MB are kept: give the same command again "
                    "to go on from there"
                ) from cut
            time.sleep(_PAUSE * 2**tries)


def _receive(at: Place, file: BinaryIO, begun: int, tell: Teller) -> tuple[Told, str]:
    """One request: what is missing of the file, or all of it where the file has changed."""
    mark = _mark_of(Path(file.name))
    answer, told = _ask(at, begun)
    with answer:
        if begun and not _goes_on(answer, begun, told.mark, mark):
            file.truncate(0)
            if answer.status == 206:  # the rest of another file: ask again, for the whole
                raise _CutError("the file has changed meanwhile")
            begun = 0
        mark.write_text(told.mark or "", encoding="utf-8")
        _check_space(Path(file.name), (told.size or 0) - begun)
        digest = _digest(file, begun)
        while data := _read(answer):
            file.write(data)
            digest.update(data)
            begun += len(data)
            tell(begun, told.size)
        if answer.length:  # bytes announced that did not come
            raise _CutError("the connection was cut")
    if told.size not in (None, begun):
        file.truncate(0)
        raise DownloadError(f"{at.url} has {begun} bytes, not the {told.size} that were announced")
    return told, digest.hexdigest()


def _goes_on(answer: http.client.HTTPResponse, begun: int, mark: str | None, kept: Path) -> bool:
    """Whether an answer is the rest of the very file whose beginning is kept."""
    rest = (answer.headers.get("Content-Range") or "").startswith(f"bytes {begun}-")
    same = mark is not None and kept.is_file() and kept.read_text(encoding="utf-8") == mark
    return answer.status == 206 and rest and same


def _ask(at: Place, begun: int) -> tuple[http.client.HTTPResponse, Told]:
    request = urllib.request.Request(at.url, headers={"User-Agent": "worldline"})
    # as they are: bytes that are compressed on the way can be neither resumed nor counted
    request.add_header("Accept-Encoding", "identity")
    if begun:
        request.add_header("Range", f"bytes={begun}-")
    if at.hub and (token := os.environ.get("HF_TOKEN")):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    redirects = _Redirects()
    try:
        answer = urllib.request.build_opener(redirects).open(request, timeout=_PATIENCE)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # what is kept is not the beginning of what is there
            return _ask(at, 0)
        raise _refusal(at, error.code) from error
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"no connection ({getattr(error, 'reason', error)})") from error
    return answer, _told(redirects.headers or answer.headers, answer.headers)


def _refusal(at: Place, code: int) -> Exception:
    if code == 429 or code >= 500:
        return _CutError(f"the server is busy (HTTP {code})")
    if code in (401, 403):
        hint = "accept its terms on its page and set HF_TOKEN to a token of yours"
        return DownloadError(f"{at.url}: access is refused (HTTP {code}){f': {hint}' * at.hub}")
    return DownloadError(f"{at.url}: there is no such file (HTTP {code})")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and keeps the first one's headers that describe the file behind them."""

    headers: Message | None = None

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any
    ) -> urllib.request.Request | None:
        """See HTTPRedirectHandler."""
        if self.headers is None and "X-Linked-Etag" in headers:
            self.headers = headers
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _told(first: Message, last: Message) -> Told:
    """What the hub's first answer and the file's own server say."""
    mark = first.get("X-Linked-Etag") or last.get("ETag") or last.get("Last-Modified")
    plain = (mark or "").removeprefix("W/").strip('"')
    hashed = "X-Linked-Etag" in first and re.fullmatch("[0-9a-f]{64}", plain)
    whole = last.get("Content-Range", "").rpartition("/")[2] or last.get("Content-Length", "")
    size = first.get("X-Linked-Size", whole)
    return Told(int(size) if size.isdigit() else None, plain if hashed else None, plain or None)


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _CutError("the connection was cut") from error


def _digest(file: BinaryIO, length: int) -> Any:
    """SHA-256 of the beginning of a file; what is written next is still appended."""
    digest = hashlib.sha256()
    file.seek(0)
    while length > 0 and (data := file.read(min(_CHUNK, length))):
        digest.update(data)
        length -= len(data)
    return digest


def _alone(file: BinaryIO, at: Place) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DownloadError(f"{at.url} is being downloaded by another process") from error


def _check(url: str, file: Path, expected: str | None, found: str) -> None:
    if expected is not None and found != expected:
        file.unlink()
        raise DownloadError(
            f"{url} is not what it should be: its SHA-256 is {found}, not {expected}; "
            "what arrived was deleted"
        )


def _check_space(file: Path, needed: int) -> None:
    free = shutil.disk_usage(file.parent).free
    if needed > free:
        raise StorageError(
            f"{file.parent}: {needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free; "
            "$WORLDLINE_WEIGHTS may name another folder"
        )


def _take_out(at: Place, sha256: str | None) -> None:
    """The member of the archive, beside it."""
    try:
        with zipfile.ZipFile(at.path) as archive, atomic_file(at.file) as partial:
            with archive.open(at.member or "") as member, partial.open("wb") as file:
                shutil.copyfileobj(member, file, _CHUNK)
            digest = file_sha256(partial)
            _check(f"{at.url}#{at.member}", partial, sha256, digest)
            _write_record(at.file, f"{at.url}#{at.member}", partial.stat().st_size, digest)
    except KeyError as error:
        raise DownloadError(f"{at.url} holds no {at.member}") from error
    except zipfile.BadZipFile as error:
        at.path.unlink()
        raise DownloadError(f"{at.url} is no intact archive; what arrived was deleted") from error


def file_sha256(file: Path) -> str:
    """SHA-256 of a whole file, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _write_record(file: Path, url: str, size: int, sha256: str) -> None:
    record = {"url": url, "size": size, "sha256": sha256}
    write_bytes(_record(file), json.dumps(record).encode())


def _record(file: Path) -> Path:
    return file.with_name(f".{file.name}.json")


def _mark_of(partial: Path) -> Path:
    return partial.with_suffix(".mark")


def _inside(*names: str) -> Path:
    """A path in the cache folder, never outside of it."""
    parts = [part for name in names for part in name.split("/") if part not in ("", ".", "..")]
    return cache_folder().joinpath(*parts)
