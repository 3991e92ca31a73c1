"""`worldline download`: lists what there is, shows licences first, and fails with a clear line."""

import hashlib
from pathlib import Path

import pytest

from file_server import FileServer, Served
from worldline.models import download as downloads
from worldline.models.registry import CHECKPOINTS, Checkpoint

CONTENT = b"weights" * 9999


@pytest.fixture
def server(monkeypatch, tmp_path):
    server = FileServer()
    monkeypatch.setenv("WORLDLINE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloads, "_PAUSE", 0.001)
    server.files["/tiny.pth"] = Served(CONTENT)
    checkpoint = Checkpoint(
        *("tiny", "raft", "raft-small", f"{server.url}/tiny.pth", "Free (commercial too)"),
        "a test",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    monkeypatch.setitem(CHECKPOINTS, "tiny", checkpoint)
    yield server
    server.close()


def test_the_list_tells_size_licence_and_what_is_here(cli, server, tmp_path):
    run = cli("download")
    lines = {line.split()[0]: line for line in run.out.splitlines()}
    assert run.code == 0 and not server.asked and set(CHECKPOINTS) <= set(lines)
    assert "102 MB" in lines["cotracker3-offline"]
    assert "non-commercial" in lines["cotracker3-offline"] and "here" not in lines["tiny"]
    assert "Apache-2.0" in lines["da3-base"] and str(tmp_path / "weights") in lines["kept"]
    assert cli("download", "tiny").code == 0
    assert " here " in cli("download").out
    listed = cli("download", "--json").json
    assert listed["folder"] == str(tmp_path / "weights")
    assert listed["checkpoints"]["tiny"]["file"] and not listed["checkpoints"]["vggt"]["file"]


def test_a_licence_is_shown_before_the_file_is_fetched(cli, server):
    run = cli("download", "tiny")
    assert run.err.startswith("tiny: licence Free (commercial too)\ntiny: ")
    name, file = run.out.split()
    assert name == "tiny" and Path(file).read_bytes() == CONTENT
    server.on_hub("them/net/resolve/main/model.safetensors", CONTENT)
    run = cli("download", "hub:them/net", "tiny")
    assert run.code == 0 and "https://huggingface.co/them/net" in run.err
    assert cli("download", "tiny", "--json", "--quiet").json == {"tiny": file}


def test_what_is_no_checkpoint_is_said_before_anything_is_fetched(cli, server):
    run = cli("download", "tiny", "huge")
    assert run.code == 2 and not server.asked
    assert "there is no checkpoint 'huge'" in run.says() and "da3-base" in run.says()


def test_a_failed_download_has_its_own_exit_code(cli, server):
    server.files["/tiny.pth"] = Served(CONTENT[::-1])
    run = cli("download", "tiny", "--json")
    assert run.code == 5 and "is not what it should be" in run.says()
    assert run.json["kind"] == "download"
    del server.files["/tiny.pth"]
    assert "no such file (HTTP 404)" in cli("download", "tiny").says()
