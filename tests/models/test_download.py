"""Downloads over real sockets: resumed after cuts, checked, and never half a file in place."""

import fcntl
import hashlib
import io
import json
import zipfile

import pytest

from file_server import FileServer, Served
from worldline.errors import DownloadError, InputError, StorageError
from worldline.models import download as downloads
from worldline.models.download import cache_folder, download, place, recorded_sha256

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLDLINE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(downloads, "_PAUSE", 0.001)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    server = FileServer()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.close()


def begun_at(server: FileServer) -> list[int]:
    ranges = [headers.get("Range", "bytes=0-") for _, headers in server.asked]
    return [int(r.removeprefix("bytes=").removesuffix("-")) for r in ranges]


def left_behind(name: str = "*.partial") -> list[str]:
    return [file.name for file in cache_folder().rglob(name)]


def test_a_file_arrives_whole_and_is_not_fetched_twice(server):
    server.files["/a/w.pth"] = Served(CONTENT)
    told = []
    file = download(f"{server.url}/a/w.pth", sha256=SHA256, tell=lambda *what: told.append(what))
    assert file.read_bytes() == CONTENT and recorded_sha256(file) == SHA256
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert download(f"{server.url}/a/w.pth") == file and len(server.asked) == 1
    assert not left_behind() and not left_behind("*.mark")
    file.write_bytes(CONTENT[:-1])
    assert recorded_sha256(file) is None  # it is no longer what was checked


def test_a_cut_connection_is_taken_up_where_it_ended(server):
    server.files["/w.pth"] = Served(CONTENT, cuts=[300_000, 400_000])
    file = download(f"{server.url}/w.pth", sha256=SHA256)
    assert file.read_bytes() == CONTENT
    assert begun_at(server) == [0, 300_000, 700_000]


def test_the_next_command_goes_on_after_the_connection_stayed_cut(server):
    server.files["/w.pth"] = served = Served(CONTENT, cuts=[300_000] + [0] * 5)
    with pytest.raises(DownloadError, match=r"0\.3 MB are kept: give the same command again"):
        download(f"{server.url}/w.pth")
    assert not place(f"{server.url}/w.pth").file.exists() and left_behind() == [".w.pth.partial"]
    served.cuts.clear()
    server.asked.clear()
    assert download(f"{server.url}/w.pth", sha256=SHA256).read_bytes() == CONTENT
    assert begun_at(server) == [300_000]


@pytest.mark.parametrize("change", ["etag", "no etag", "no ranges", "shorter"])
def test_what_cannot_be_taken_up_is_begun_anew(server, change):
    server.files["/w.pth"] = served = Served(CONTENT[::-1], cuts=[300_000] + [0] * 5)
    with pytest.raises(DownloadError):
        download(f"{server.url}/w.pth")
    whole = CONTENT[:1000] if change == "shorter" else CONTENT
    etag = None if change == "no etag" else '"two"'
    server.files["/w.pth"] = Served(whole, etag=etag, ranges=change != "no ranges")
    assert download(f"{server.url}/w.pth").read_bytes() == whole
    assert served.cuts == []


def test_a_wrong_hash_leaves_nothing(server):
    server.files["/w.pth"] = Served(CONTENT[::-1])
    with pytest.raises(DownloadError, match=f"not {SHA256}"):
        download(f"{server.url}/w.pth", sha256=SHA256)
    assert not place(f"{server.url}/w.pth").file.exists() and not left_behind()


@pytest.mark.parametrize(("code", "says"), [(404, "no such file"), (403, "access is refused")])
def test_refusals_are_said_at_once(server, code, says):
    server.files["/w.pth"] = Served(CONTENT, codes=[code] * 9)
    with pytest.raises(DownloadError, match=f"{says}.*{code}"):
        download(f"{server.url}/w.pth")
    assert len(server.asked) == 1


def test_busy_servers_are_asked_again_and_absent_ones_said(server):
    server.files["/w.pth"] = Served(CONTENT, codes=[503, 429])
    assert download(f"{server.url}/w.pth").read_bytes() == CONTENT
    with pytest.raises(DownloadError, match="no connection"):
        download("http://127.0.0.1:9/w.pth")


def test_the_hub_is_followed_and_held_to_what_it_tells(server):
    served = server.on_hub("them/net/resolve/main/model.safetensors", CONTENT)
    served.cuts = [300_000]
    file = download("hub:them/net")
    assert file.read_bytes() == CONTENT and recorded_sha256(file) == SHA256
    assert file == cache_folder() / "hub/them/net/main/model.safetensors"
    assert begun_at(server) == [0, 0, 300_000, 300_000]  # the hub and its store, twice
    server.on_hub("them/net/resolve/abc/sub/w.pt", CONTENT, X_Linked_Etag=f'"{"0" * 64}"')
    with pytest.raises(DownloadError, match=f"not {'0' * 64}"):
        download("hub:them/net/sub/w.pt@abc")
    server.on_hub("them/net/resolve/main/w.pt", CONTENT, X_Linked_Size=str(len(CONTENT) + 1))
    with pytest.raises(DownloadError, match="bytes, not the"):
        download("hub:them/net/w.pt")


def test_a_token_goes_to_the_hub_alone(server, monkeypatch):
    server.on_hub("them/net/resolve/main/model.safetensors", CONTENT)
    server.files["/w.pth"] = Served(CONTENT)
    monkeypatch.setenv("HF_TOKEN", "secret")
    download("hub:them/net")
    download(f"{server.url}/w.pth")
    assert [headers.get("Authorization") for _, headers in server.asked] == [
        "Bearer secret",
        None,
        None,
    ]


def test_a_gated_file_says_what_to_do(server):
    server.files["/them/net/resolve/main/model.safetensors"] = Served(b"", codes=[401])
    with pytest.raises(DownloadError, match=r"accept its terms.*HF_TOKEN"):
        download("hub:them/net")


def test_a_member_of_an_archive_is_taken_out_and_checked(server):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("models/w.pth", CONTENT)
        archive.writestr("models/v.pth", b"v")
    server.files["/models.zip"] = Served(packed.getvalue())
    source = f"{server.url}/models.zip#models/"
    file = download(f"{source}w.pth", sha256=SHA256)
    assert file.read_bytes() == CONTENT and recorded_sha256(file) == SHA256
    assert download(f"{source}v.pth").read_bytes() == b"v" and len(server.asked) == 1
    with pytest.raises(DownloadError, match=r"holds no models/x\.pth"):
        download(f"{source}x.pth")
    with pytest.raises(DownloadError, match="not what it should be"):
        (place(f"{source}v.pth").file).unlink()
        download(f"{source}v.pth", sha256=SHA256)
    assert not place(f"{source}v.pth").file.exists()
    server.files["/other.zip"] = Served(CONTENT)
    with pytest.raises(DownloadError, match="no intact archive"):
        download(f"{server.url}/other.zip#w.pth")
    assert not place(f"{server.url}/other.zip").file.exists()


def test_the_disk_may_refuse(server, monkeypatch):
    server.files["/w.pth"] = Served(CONTENT)
    usage = type("usage", (), {"free": 1000})
    with monkeypatch.context() as patched:
        patched.setattr(downloads.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(StorageError, match=r"MB are needed.*WORLDLINE_WEIGHTS"):
            download(f"{server.url}/w.pth")
    cache_folder().parent.joinpath("file").touch()
    monkeypatch.setenv("WORLDLINE_WEIGHTS", str(cache_folder().parent / "file"))
    with pytest.raises(StorageError, match="cannot be written"):
        download(f"{server.url}/w.pth")


def test_two_downloads_of_one_file_do_not_mix(server):
    server.files["/w.pth"] = Served(CONTENT)
    partial = place(f"{server.url}/w.pth").file.with_name(".w.pth.partial")
    partial.parent.mkdir(parents=True)
    with partial.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="by another process"):
            download(f"{server.url}/w.pth")
    assert download(f"{server.url}/w.pth").read_bytes() == CONTENT


def test_places_stay_inside_the_cache(server):
    for source in (f"{server.url}/../../etc/w.pth", "hub:../../x", f"{server.url}/%2e%2e/%2e%2e/w"):
        assert cache_folder() in place(source).file.parents
    assert cache_folder() in place(f"{server.url}/a.zip#../../../w.pth").file.parents
    for source in ("hub:", "hub:name", "ftp://a/b", "https://host", "w.pth"):
        with pytest.raises(InputError):
            place(source)


def test_a_damaged_record_is_no_record(server):
    server.files["/w.pth"] = Served(CONTENT)
    file = download(f"{server.url}/w.pth")
    for text in ("{", "[]", json.dumps({"sha256": "x"})):
        file.with_name(".w.pth.json").write_text(text)
        assert recorded_sha256(file) is None
