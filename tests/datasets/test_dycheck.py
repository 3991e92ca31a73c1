"""DyCheck's iPhone scenes give the scene they were made of, at both sizes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from wall_and_box import Truth, check_cameras, check_depth, truth

from worldline.datasets import dycheck
from worldline.errors import InputError


@pytest.fixture
def scene() -> Truth:
    return truth(3, shift=(1.3, -0.7))


@pytest.fixture
def root(tmp_path: Path, scene: Truth) -> Path:
    """Pictures at 2x, cameras of twice their size; frame 2 is of a phone at rest."""
    home = tmp_path / "paper-windmill"
    for folder in (
        "camera",
        "rgb/2x",
        "depth/2x",
        "covisible/2x/val",
        "keypoint/2x/train",
        "splits",
    ):
        (home / folder).mkdir(parents=True)
    ids = ["0_00000", "0_00001", "1_00000"]
    tracks = scene.tracks()
    for k, one in enumerate(ids):
        pose = scene.world_from_camera[k]
        camera = {
            "focal_length": 2 * scene.K[0, 0],
            "image_size": [96, 64],
            "orientation": pose[:3, :3].T.tolist(),
            "pixel_aspect_ratio": 1.0,
            "position": pose[:3, 3].tolist(),
            "principal_point": (2 * scene.K[:2, 2]).tolist(),
            "radial_distortion": [0.0] * 3,
            "skew": 0.0,
            "tangential_distortion": [0.0] * 2,
        }
        (home / "camera" / f"{one}.json").write_text(json.dumps(camera))
        Image.fromarray(scene.frames[k]).convert("RGBA").save(home / "rgb/2x" / f"{one}.png")
        if k < 2:
            depth = scene.depth[k].astype(np.float32)
            depth[0, 0] = 0
            np.save(home / "depth/2x" / f"{one}.npy", depth[..., None])
    points = np.concatenate([tracks.uv[:, 0] - 0.5, tracks.visible[:, 0, None]], -1)
    (home / "keypoint/2x/train/0_00000.json").write_text(json.dumps(points.tolist()))
    mask = Image.fromarray(np.where(scene.on_box[2], 255, 0).astype(np.uint8))
    mask.save(home / "covisible/2x/val/1_00000.png")
    split = {"frame_names": ids[:2], "camera_ids": [0, 0], "time_ids": [0, 1]}
    (home / "splits/train.json").write_text(json.dumps(split))
    (home / "dataset.json").write_text(json.dumps({"count": 3, "ids": ids}))
    about = {one: {"camera_id": int(one[0]), "warp_id": int(one[-1])} for one in ids}
    (home / "metadata.json").write_text(json.dumps(about))
    (home / "scene.json").write_text(
        json.dumps({"center": [0.1, 0.2, 0.3], "scale": 0.5, "near": 0.1, "far": 1.0})
    )
    (home / "extra.json").write_text(json.dumps({"factor": 2, "fps": 30.0}))
    return tmp_path


def test_a_training_split_is_the_scene(root: Path, scene: Truth) -> None:
    assert dycheck.names(root) == ["paper-windmill/train", "paper-windmill/val"]
    clip = dycheck.read(root, "paper-windmill/train")
    assert clip.frame_names == ("0_00000", "0_00001") and clip.metric
    check_cameras(clip, truth_of(scene, slice(0, 2)))
    check_depth(clip, truth_of(scene, slice(0, 2)), atol=1e-5)
    assert clip.depth is not None and np.isnan(clip.depth[:, 0, 0]).all()  # 0 is unknown
    np.testing.assert_array_equal(clip.frames, scene.frames[:2])
    np.testing.assert_allclose(clip.times, [0, 1 / 30])
    assert dycheck.problems(root) == []


def test_keypoints_are_tracks_of_half_pixels(root: Path, scene: Truth) -> None:
    tracks = dycheck.read(root, "paper-windmill/train").tracks
    assert tracks is not None and tracks.uv is not None
    seen = scene.tracks().visible[:, 0]
    np.testing.assert_array_equal(tracks.visible, np.stack([seen, 0 * seen], 1))
    np.testing.assert_allclose(tracks.uv[seen, 0], scene.tracks().uv[seen, 0])
    assert np.isnan(tracks.uv[~seen, 0]).all() and np.isnan(tracks.uv[:, 1]).all()


def test_a_validation_split_has_covisible_pixels_and_no_depth(root: Path, scene: Truth) -> None:
    clip = dycheck.read(root, "paper-windmill/val")
    assert clip.frame_names == ("1_00000",) and clip.depth is None and clip.tracks is None
    np.testing.assert_array_equal(dycheck.covisible(root, "paper-windmill/val")[0], scene.on_box[2])


def test_a_training_split_has_the_other_phones_pictures_of_its_moments(
    root: Path, scene: Truth
) -> None:
    views = dycheck.read(root, "paper-windmill/train").views
    assert views is not None and views.judged is not None
    np.testing.assert_array_equal(views.frames, scene.frames[2:])
    np.testing.assert_allclose(views.world_from_camera, scene.world_from_camera[2:], atol=1e-9)
    np.testing.assert_array_equal(views.judged[0], scene.on_box[2])
    assert dycheck.split(root, "train") == ["paper-windmill/train"]


def test_the_normalisation_is_that_of_the_scene(root: Path) -> None:
    center, scale = dycheck.normalisation(root, "paper-windmill/train")
    np.testing.assert_array_equal(center, [0.1, 0.2, 0.3])
    assert scale == 0.5


def test_the_full_size_has_the_cameras_as_stored(root: Path, scene: Truth) -> None:
    home = root / "paper-windmill" / "rgb"
    (home / "1x").mkdir()
    for file in (home / "2x").iterdir():
        Image.open(file).resize((96, 64)).save(home / "1x" / file.name)
    (root / "paper-windmill/covisible").rename(root / "elsewhere")
    clip = dycheck.read(root, "paper-windmill/train", scale=1)
    assert clip.intrinsics is not None
    np.testing.assert_allclose(clip.intrinsics[0, :2], 2 * scene.K[:2], atol=1e-9)
    assert clip.views is None  # of which co-visible pixels are not known


def test_what_is_missing_or_broken_is_named(root: Path) -> None:
    home = root / "paper-windmill"
    with pytest.raises(InputError, match="name a scene and its split"):
        dycheck.read(root, "paper-windmill")
    (home / "depth/2x/0_00001.npy").unlink()
    assert dycheck.problems(root) == [f"{root}/paper-windmill/depth/2x/0_00001.npy: is missing"]
    (home / "camera/0_00000.json").write_text("{")
    with pytest.raises(InputError, match=r"0_00000\.json: cannot be read"):
        dycheck.read(root, "paper-windmill/train")


def truth_of(scene: Truth, rows: slice) -> Truth:
    fields = {name: getattr(scene, name) for name in Truth.__dataclass_fields__}
    return Truth(**{name: one if name == "K" else one[rows] for name, one in fields.items()})
