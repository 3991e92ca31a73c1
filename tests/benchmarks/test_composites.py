"""Composites of pictures whose every pixel is known, read back as `worldline eval` reads them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import composites
from composites import Composite, make_composite
from worldline.datasets import folder
from worldline.errors import InputError

RED, GREEN = (255, 0, 0), (0, 255, 0)
BOTH = Composite("both", "room", "square", 1 / 8)
K = np.array([[50.0, 0.0, 30.0], [0.0, 50.0, 20.0], [0.0, 0.0, 1.0]])


def write_pictures(place: Path, pictures: list[np.ndarray]) -> None:
    place.mkdir(parents=True)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(place / f"{i:05d}.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three red frames of 80x40 with cameras, and two of a green square of 10x10."""
    data = tmp_path / "data"
    write_pictures(data / "room" / "frames", [np.full((40, 80, 3), RED, np.uint8)] * 3)
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, 0, 3] = [0, 1, 2]
    np.savez(data / "room" / "cameras.npz", K=K, c2w=poses)
    told = {"camera_convention": "OpenCV, metres (COLMAP)", "depth": "metres = value/1000"}
    (data / "room" / "meta.json").write_text(json.dumps(told))
    mask = np.zeros((32, 32), np.uint8)
    mask[5:15, 10:20] = 255
    write_pictures(data / "square" / "frames", [mask[..., None] // 255 * np.uint8(GREEN)] * 2)
    write_pictures(data / "square" / "masks", [mask] * 2)
    return data


def run(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["composites.py", *map(str, arguments)])
    composites.main()


@pytest.fixture
def two(monkeypatch) -> None:
    """The script makes two of what `data` has."""
    second = Composite("again", "room", "square", 1 / 4)
    monkeypatch.setattr(composites, "COMPOSITES", (BOTH, second))


def test_the_object_is_where_it_should_be(data, tmp_path):
    # 10x10 pixels are 1/8 of 20x40; at twice the size they cover 1/8 of 40x80
    make_composite(BOTH, data, tmp_path / "out")
    clip = folder.read(tmp_path / "out", "both")
    assert len(clip) == 3
    for frame, moves, centre in zip(clip.frames, clip.dynamic, (20, 40, 60), strict=True):
        expected = np.zeros((40, 80), bool)
        expected[12:32, centre - 10 : centre + 10] = True
        assert (moves == expected).all()
        assert (frame[expected] == GREEN).all() and (frame[~expected] == RED).all()


def test_cameras_are_read_as_those_of_the_static_clip(data, tmp_path):
    make_composite(BOTH, data, tmp_path / "out")
    made, static = folder.read(tmp_path / "out", "both"), folder.read(data, "room")
    assert made.metric and (made.intrinsics == K).all()  # COLMAP's pixels, said by meta.json alone
    assert (made.intrinsics == static.intrinsics).all()
    assert (made.world_from_camera == static.world_from_camera).all()
    assert made.depth is None and made.source == tmp_path / "out" / "both" / "frames"


def test_a_bent_lens_is_straightened_once(data, tmp_path):
    columns = np.zeros((40, 80, 3), np.uint8)
    columns[:, ::8] = 255
    write_pictures(data / "bent" / "frames", [columns] * 3)
    np.savez(data / "bent" / "cameras.npz", K=K, dist=np.array([0.2, 0, 0, 0, 0]))
    write_pictures(data / "gone" / "frames", [np.zeros((32, 32, 3), np.uint8)] * 3)
    write_pictures(data / "gone" / "masks", [np.zeros((32, 32), np.uint8)] * 3)
    make_composite(Composite("lens", "bent", "gone", 0.3), data, tmp_path / "out")
    made = folder.read(tmp_path / "out", "lens")
    assert (made.frames == folder.read(data, "bent").frames).all()
    assert (made.frames != columns).any() and not made.dynamic.any()


def test_what_is_there_is_not_made_again(data, tmp_path, two, monkeypatch, capsys):
    out = tmp_path / "out"
    (out / "both").mkdir(parents=True)
    run(monkeypatch, data, out)
    assert not any((out / "both").iterdir())
    assert folder.names(out) == ["again"]
    assert capsys.readouterr().out == f"{out / 'again'}\n"


def test_a_composite_is_made_whole_or_not_at_all(data, tmp_path, two, monkeypatch):
    def full(made, meta):
        raise OSError("the disk is full")

    out = tmp_path / "out"
    with monkeypatch.context() as broken:
        broken.setattr(composites, "write_json", full)
        with pytest.raises(Exception, match="the disk is full"):
            run(monkeypatch, data, out)
    assert not any(out.iterdir())
    run(monkeypatch, data, out)
    assert folder.names(out) == ["again", "both"]


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("square", "has no clip square, of which both is made"),
        ("room/cameras.npz", "cameras.npz: is missing; both is made of it"),
        ("square/masks", "masks: is missing; both is made of it"),
    ],
)
def test_data_that_lack_a_part_are_refused_before_anything_is_made(
    data, tmp_path, two, monkeypatch, missing, words
):
    (data / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=words):
        run(monkeypatch, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()
