"""MVS-Synth's folders give the scene they were made of."""

import json
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image
from wall_and_box import Truth, check_cameras, check_depth, truth

from worldline.datasets import mvs_synth
from worldline.errors import InputError

SWAP = np.eye(4)[[1, 0, 2, 3]]


@pytest.fixture
def scene() -> Truth:
    return truth(3)


@pytest.fixture(params=[0.0, 0.5], ids=["corner", "centre"])
def root(request: pytest.FixtureRequest, tmp_path: Path, scene: Truth) -> Path:
    """With principal points that count from the top-left pixel's corner, and from its centre."""
    home = tmp_path / "0007"
    for folder in ("images", "depths", "poses"):
        (home / folder).mkdir(parents=True)
    for k in range(3):
        Image.fromarray(scene.frames[k]).save(home / "images" / f"{k:04d}.png")
        depth = scene.depth[k].astype(np.float32)
        depth[0, 0] = np.inf
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {"Y": depth}).write(str(home / "depths" / f"{k:04d}.exr"))
        pose = {
            "f_x": scene.K[0, 0],
            "f_y": scene.K[1, 1],
            "c_x": scene.K[0, 2] - request.param,
            "c_y": scene.K[1, 2] - request.param,
            "extrinsic": np.linalg.inv(SWAP @ scene.world_from_camera[k]).tolist(),
        }
        (home / "poses" / f"{k:04d}.json").write_text(json.dumps(pose))
    return tmp_path


def test_a_clip_is_the_scene(root: Path, scene: Truth) -> None:
    assert mvs_synth.names(root) == ["0007"]
    clip = mvs_synth.read(root, "0007")
    check_cameras(clip, scene)
    check_depth(clip, scene, atol=1e-5)
    assert clip.depth is not None and np.isnan(clip.depth[:, 0, 0]).all()  # the sky
    assert np.isfinite(clip.depth[:, 1:]).all()
    np.testing.assert_array_equal(clip.frames, scene.frames)
    assert clip.world_from_camera is not None
    np.testing.assert_allclose(np.linalg.det(clip.world_from_camera[:, :3, :3]), 1.0)
    assert mvs_synth.problems(root) == [] and not clip.metric


def test_a_world_that_is_not_mirrored_stays(root: Path, scene: Truth) -> None:
    path = root / "0007/poses/0000.json"
    note = json.loads(path.read_text())
    note["extrinsic"] = np.linalg.inv(scene.world_from_camera[0]).tolist()
    path.write_text(json.dumps(note))
    poses = mvs_synth.read(root, "0007", frames=[0]).world_from_camera
    np.testing.assert_allclose(poses, scene.world_from_camera[:1], atol=1e-12)


def test_what_is_missing_or_broken_is_named(root: Path) -> None:
    (root / "0007/depths/0001.exr").write_bytes(b"none")
    with pytest.raises(InputError, match=r"0001\.exr: cannot be read"):
        mvs_synth.read(root, "0007")
    (root / "0007/depths/0001.exr").unlink()
    assert mvs_synth.problems(root) == [f"{root}/0007/depths/0001.exr: is missing"]
    with pytest.raises(InputError, match=r"0001\.exr: is missing"):
        mvs_synth.read(root, "0007")
