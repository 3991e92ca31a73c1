"""DL3DV's folders give the cameras they were made of, at the size of the pictures there are."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from wall_and_box import Truth, check_cameras, truth

from worldline.datasets import dl3dv
from worldline.errors import InputError


@pytest.fixture
def scene() -> Truth:
    return truth(3, shift=(1.3, -0.7))


def write(home: Path, scene: Truth, frames: np.ndarray, **bends: float) -> None:
    """Numbers of four times the pictures' size."""
    (home / "images_4").mkdir(parents=True)
    notes = []
    for k in range(3):
        Image.fromarray(frames[k]).save(home / "images_4" / f"frame_{k + 1:05d}.png")
        pose = scene.world_from_camera[k] @ np.diag([1.0, -1.0, -1.0, 1.0])
        notes.append(
            {"file_path": f"images/frame_{k + 1:05d}.png", "transform_matrix": pose.tolist()}
        )
    lens = {
        "w": 192,
        "h": 128,
        "fl_x": 4 * scene.K[0, 0],
        "fl_y": 4 * scene.K[1, 1],
        "cx": 4 * scene.K[0, 2],
        "cy": 4 * scene.K[1, 2],
        "camera_model": "OPENCV",
        **{"k1": 0.0, "k2": 0.0, "p1": 0.0, "p2": 0.0, **bends},
    }
    (home / "transforms.json").write_text(json.dumps({**lens, "frames": notes}))


def test_cameras_and_pictures_are_the_scenes(tmp_path: Path, scene: Truth) -> None:
    write(tmp_path / "1K" / "abc", scene, scene.frames)
    assert dl3dv.names(tmp_path) == ["1K/abc"]
    clip = dl3dv.read(tmp_path, "1K/abc")
    check_cameras(clip, scene)
    np.testing.assert_array_equal(clip.frames, scene.frames)
    assert clip.frame_names == ("frame_00001", "frame_00002", "frame_00003")
    assert clip.depth is None and not clip.metric and dl3dv.problems(tmp_path) == []


def test_a_lens_that_distorts_is_undone(tmp_path: Path) -> None:
    """A dot at a known ray, drawn where the lens puts it, comes to lie where a pinhole would."""
    scene = truth(3, 192, 128, 160.0)
    ray, k1 = np.array([0.35, 0.2]), -0.3
    bent = ray * (1 + k1 * ray @ ray)
    at = scene.K[:2, :2] @ bent + scene.K[:2, 2]
    y, x = np.mgrid[:128, :192] + 0.5
    dot = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 8)
    frames = np.repeat(np.repeat(dot[None, ..., None], 3, 0), 3, -1).astype(np.uint8)
    write(tmp_path / "a", scene, frames, k1=k1)
    note = json.loads((tmp_path / "a/transforms.json").read_text())
    (tmp_path / "a/transforms.json").write_text(json.dumps({**note, "w": 768, "h": 512}))
    clip = dl3dv.read(tmp_path, "a")
    moments = cv2.moments(clip.frames[0, ..., 0])
    found = np.array([moments["m10"], moments["m01"]]) / moments["m00"] + 0.5
    wanted = scene.K[:2, :2] @ ray + scene.K[:2, 2]
    assert np.linalg.norm(wanted - at) > 3  # the lens does bend
    np.testing.assert_allclose(found, wanted, atol=0.15)


def test_what_is_missing_or_broken_is_named(tmp_path: Path, scene: Truth) -> None:
    write(tmp_path / "a", scene, scene.frames)
    (tmp_path / "a/images_4/frame_00002.png").unlink()
    assert dl3dv.problems(tmp_path) == [f"{tmp_path}/a/images_4/frame_00002.png: is missing"]
    with pytest.raises(InputError, match=r"frame_00002\.png: is missing"):
        dl3dv.read(tmp_path, "a")
    note = json.loads((tmp_path / "a/transforms.json").read_text())
    del note["fl_x"]
    (tmp_path / "a/transforms.json").write_text(json.dumps(note))
    with pytest.raises(
        InputError, match=r"transforms\.json: cannot be read as DL3DV's cameras \('fl_x'\)"
    ):
        dl3dv.read(tmp_path, "a", frames=[0])
