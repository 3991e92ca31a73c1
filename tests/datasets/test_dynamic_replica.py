"""Dynamic Replica's lists and files give the scene they were made of."""

import gzip
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from wall_and_box import Truth, check_cameras, check_depth, check_tracks, truth

from worldline.datasets import dynamic_replica
from worldline.errors import InputError

NAME = "valid/room_1/left"


@pytest.fixture
def scene() -> Truth:
    return truth(3, shift=(1.3, -0.7))


def halves(path: Path, values: np.ndarray) -> None:
    cv2.imwrite(str(path), values.astype(np.float16).view(np.uint16))


@pytest.fixture(params=["ndc_isotropic", "ndc_norm_image_bounds"])
def root(request: pytest.FixtureRequest, tmp_path: Path, scene: Truth) -> Path:
    home = tmp_path / "valid"
    home.mkdir()
    half = np.array([24.0, 16.0])
    scale = half if request.param == "ndc_norm_image_bounds" else np.full(2, 16.0)
    tracks = scene.tracks()
    flow = np.zeros((32, 96))
    flow[:, :48], flow[:, 48:] = 1.5, -2.0
    notes = []
    for k in (2, 0, 1):  # in no order
        camera_from_world = np.linalg.inv(scene.world_from_camera[k])
        flip = np.diag([-1.0, -1.0, 1.0])
        Image.fromarray(scene.frames[k]).save(home / f"image-{k}.png")
        halves(home / f"depth-{k}.png", scene.depth[k])
        Image.fromarray(scene.on_box[k].astype(np.uint8) * 255).save(home / f"mask-{k}.png")
        halves(home / f"flow-{k}.png", flow)
        Image.fromarray(np.where(scene.on_box[k], 0, 255).astype(np.uint8)).save(
            home / f"flow-mask-{k}.png"
        )
        uv = np.concatenate([tracks.uv[:, k], np.ones((5, 1))], -1)
        content = {
            "traj_2d": torch.tensor(uv, dtype=torch.float32),
            "traj_3d_world": torch.tensor(tracks.xyz[:, k], dtype=torch.float32),
            "verts_inds_vis": torch.tensor(tracks.visible[:, k]),
            "img": torch.zeros(2, 2, 3),
        }
        torch.save(content, home / f"traj-{k}.pth")
        last = k == 2
        notes.append(
            {
                "sequence_name": "room_1",
                "frame_number": k,
                "frame_timestamp": k / 30,
                "image": {"path": f"image-{k}.png", "size": [32, 48]},
                "depth": {"path": f"depth-{k}.png", "scale_adjustment": 1.0},
                "mask": {"path": f"mask-{k}.png"},
                "viewpoint": {
                    "R": (flip @ camera_from_world[:3, :3]).T.tolist(),
                    "T": (flip @ camera_from_world[:3, 3]).tolist(),
                    "focal_length": (scene.K[[0, 1], [0, 1]] / scale).tolist(),
                    "principal_point": ((half - scene.K[:2, 2]) / scale).tolist(),
                    "intrinsics_format": request.param,
                },
                "camera_name": "left",
                "flow_forward": {"path": None if last else f"flow-{k}.png"},
                "flow_forward_mask": {"path": None if last else f"flow-mask-{k}.png"},
                "trajectories": {"path": f"traj-{k}.pth"},
            }
        )
    with gzip.open(home / "frame_annotations_valid.jgz", "wt") as file:
        json.dump(notes, file)
    return tmp_path


def test_a_clip_is_the_scene(root: Path, scene: Truth) -> None:
    assert dynamic_replica.names(root) == [NAME]
    clip = dynamic_replica.read(root, NAME)
    check_cameras(clip, scene)
    check_depth(clip, scene, atol=5e-3)  # half floats have steps of 0.004 at 4 m
    check_tracks(clip, scene)
    np.testing.assert_array_equal(clip.frames, scene.frames)
    np.testing.assert_array_equal(clip.dynamic, scene.on_box)
    np.testing.assert_allclose(clip.times, np.arange(3) / 30)
    assert clip.tracks is not None
    np.testing.assert_array_equal(clip.tracks.dynamic, scene.tracks().dynamic)
    np.testing.assert_array_equal(clip.tracks.visible, scene.tracks().visible)
    assert dynamic_replica.problems(root) == []


def test_flow_is_x_then_y_and_unknown_where_it_is_masked(root: Path, scene: Truth) -> None:
    flow = dynamic_replica.read(root, NAME).flow
    assert flow is not None and flow.shape == (2, 32, 48, 2)
    assert np.isnan(flow[scene.on_box[:2]]).all()
    assert (flow[~scene.on_box[:2]] == [1.5, -2.0]).all()
    other = dynamic_replica.read(root, NAME, frames=[0, 2]).flow
    assert other is not None and np.isnan(other).all()


def test_what_is_missing_or_broken_is_named(root: Path) -> None:
    (root / "valid/depth-1.png").unlink()
    (root / "valid/traj-2.pth").write_bytes(b"PK")
    assert dynamic_replica.problems(root) == [f"{root}/valid/depth-1.png: is missing"]
    with pytest.raises(InputError, match=r"depth-1\.png: is missing"):
        dynamic_replica.read(root, NAME)
    with pytest.raises(InputError, match=r"traj-2\.pth: cannot be read"):
        dynamic_replica.read(root, NAME, frames=[2])
    with pytest.raises(InputError, match="there is no such clip"):
        dynamic_replica.read(root, "valid/room_2/left")
    (root / "valid/frame_annotations_valid.jgz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match=r"frame_annotations_valid\.jgz: cannot be read"):
        dynamic_replica.names(root)
