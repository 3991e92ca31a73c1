"""MOVi, as Kubric's worker and the published records lay it out, gives the scene it was made of."""

import io
import json
import struct
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation
from wall_and_box import BOX, HALF, Truth, check_cameras, check_depth, check_tracks, truth

from worldline.datasets import movi, tfrecord
from worldline.errors import InputError

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
THICK = 0.2  # of the box, whose front is the scene's square


def box_corners(scene: Truth) -> np.ndarray:
    """[N,8,3], in Kubric's order."""
    unit = np.array(list(product((-0.5, 0.5), repeat=3)))
    middle = scene.box + np.array([0, 0, THICK / 2])
    return middle[:, None] + unit * [2 * HALF, 2 * HALF, THICK]


def coordinates(scene: Truth) -> np.ndarray:
    corners = box_corners(scene)
    low, high = corners[:, 0], corners[:, 7]
    place = (scene.xyz - low[:, None, None]) / (high - low)[:, None, None]
    return np.where(scene.on_box[..., None], np.clip(place, 0, 1), 0.0)


def flow(scene: Truth) -> np.ndarray:
    """(rows, columns) to the next frame; the last frame's is 0."""
    found = np.zeros((*scene.depth.shape, 2))
    count, height, width = scene.depth.shape
    y, x = np.mgrid[:height, :width] + 0.5
    step = np.diff(scene.box, axis=0)
    for k in range(count - 1):
        there = scene.xyz[k] + scene.on_box[k][..., None] * step[k]
        uv, _ = scene.project(np.repeat(there.reshape(-1, 1, 3), count, 1))
        uv = uv[:, k + 1].reshape(height, width, 2)
        found[k] = np.stack([uv[..., 1] - y, uv[..., 0] - x], -1)
    return found


def levels(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    low, high = float(values.min()), float(values.max())
    return np.round((values - low) / (high - low) * 65535).astype(np.uint16), low, high


def camera(scene: Truth) -> dict:
    pose = scene.world_from_camera @ OPENGL
    quaternion = Rotation.from_matrix(pose[:, :3, :3]).as_quat()[:, [3, 0, 1, 2]]
    width = scene.depth.shape[2]
    return {
        "focal_length": float(scene.K[0, 0]) / width * 32.0,
        "sensor_width": 32.0,
        "positions": pose[:, :3, 3].tolist(),
        "quaternions": quaternion.tolist(),
    }


def write_folder(folder: Path, scene: Truth) -> None:
    folder.mkdir(parents=True)
    codes, low, high = levels(flow(scene))
    palette = Image.new("P", (1, 1))
    palette.putpalette([0, 0, 0, 255, 0, 0])
    for k in range(len(scene.depth)):
        rgba = np.concatenate([scene.frames[k], np.full_like(scene.frames[k][..., :1], 255)], -1)
        Image.fromarray(rgba).save(folder / f"rgba_{k:05d}.png")
        Image.fromarray(scene.ray[k].astype(np.float32)).save(folder / f"depth_{k:05d}.tiff")
        mask = Image.fromarray(scene.on_box[k].astype(np.uint8), "P")
        mask.putpalette([0, 0, 0, 255, 0, 0])
        mask.save(folder / f"segmentation_{k:05d}.png")
        three = np.concatenate([codes[k], np.zeros_like(codes[k][..., :1])], -1)
        cv2.imwrite(str(folder / f"forward_flow_{k:05d}.png"), three[..., ::-1])
        place = np.round(coordinates(scene)[k] * 65535).astype(np.uint16)
        cv2.imwrite(str(folder / f"object_coordinates_{k:05d}.png"), place[..., ::-1])
    note = {
        "metadata": {"num_frames": len(scene.depth), "num_instances": 1, "frame_rate": 12},
        "camera": camera(scene),
        # the flag is wrong on purpose: the object moves
        "instances": [{"bboxes_3d": box_corners(scene).tolist(), "is_dynamic": False}],
    }
    (folder / "metadata.json").write_text(json.dumps(note))
    (folder / "data_ranges.json").write_text(
        json.dumps({"forward_flow": {"min": low, "max": high}})
    )


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def feature(values: object) -> bytes:
    if isinstance(values, list):
        return field(1, b"".join(field(1, one) for one in values))
    array = np.asarray(values)
    if array.dtype.kind == "f":
        return field(2, field(1, array.astype("<f4").tobytes()))
    return field(3, field(1, b"".join(varint(int(one)) for one in array.ravel())))


def record(features: dict[str, object]) -> bytes:
    entries = b"".join(
        field(1, field(1, name.encode()) + field(2, feature(values)))
        for name, values in features.items()
    )
    content = field(1, entries)
    return struct.pack("<Q", len(content)) + b"\0" * 4 + content + b"\0" * 4


def png(array: np.ndarray) -> bytes:
    if array.ndim == 3 and array.shape[2] == 3:
        array = array[..., ::-1]
    return cv2.imencode(".png", array)[1].tobytes()


def write_records(path: Path, scene: Truth) -> None:
    count, height, width = scene.depth.shape
    codes, low, high = levels(flow(scene))
    depth, near, far = levels(scene.ray)
    place = np.round(coordinates(scene) * 65535).astype(np.uint16)
    lens = camera(scene)
    features: dict[str, object] = {
        "metadata/num_frames": np.array([count]),
        "metadata/num_instances": np.array([1]),
        "metadata/height": np.array([height]),
        "metadata/width": np.array([width]),
        "metadata/video_name": [b"0"],
        "metadata/depth_range": np.array([near, far]),
        "metadata/forward_flow_range": np.array([low, high]),
        "camera/focal_length": np.array([lens["focal_length"]]),
        "camera/sensor_width": np.array([lens["sensor_width"]]),
        "camera/positions": np.array(lens["positions"]),
        "camera/quaternions": np.array(lens["quaternions"]),
        "instances/bboxes_3d": box_corners(scene),
        "video": [png(one) for one in scene.frames],
        "depth": [png(one) for one in depth],
        "segmentations": [png(one) for one in scene.on_box.astype(np.uint8)],
        "object_coordinates": [png(one) for one in place],
        "forward_flow": codes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(record({"metadata/num_frames": np.array([1])}) + record(features))


@pytest.fixture
def scene() -> Truth:
    return truth(5)


@pytest.fixture(params=["folder", "records"])
def read_back(request: pytest.FixtureRequest, tmp_path: Path, scene: Truth) -> tuple[Path, str]:
    if request.param == "folder":
        write_folder(tmp_path / "train" / "17", scene)
        return tmp_path, "train/17"
    write_records(tmp_path / "movi_e-train.tfrecord-00000-of-00001", scene)
    return tmp_path, "movi_e-train.tfrecord-00000-of-00001:1"


def test_cameras_depth_and_pictures_are_the_scenes(
    read_back: tuple[Path, str], scene: Truth
) -> None:
    root, name = read_back
    assert name in movi.names(root)
    clip = movi.read(root, name)
    check_cameras(clip, scene)
    check_depth(clip, scene, atol=1e-4)  # records hold depth in 65535 steps
    np.testing.assert_array_equal(clip.frames, scene.frames)
    np.testing.assert_array_equal(clip.instance, scene.on_box.astype(int) - 1)
    np.testing.assert_allclose(clip.times, np.arange(5) / 12)
    assert clip.metric and movi.problems(root) == []


def test_flow_is_x_and_y_to_the_next_frame(read_back: tuple[Path, str], scene: Truth) -> None:
    clip = movi.read(*read_back)
    assert clip.flow is not None
    np.testing.assert_allclose(clip.flow, flow(scene)[:-1, ..., ::-1], atol=1e-3)


def test_tracks_follow_the_object_and_the_wall(read_back: tuple[Path, str], scene: Truth) -> None:
    clip = movi.read(*read_back)
    check_tracks(clip, scene, atol=5e-3)
    tracks = clip.tracks
    assert tracks is not None and tracks.xyz is not None and tracks.dynamic is not None
    assert {True, False} == set(tracks.dynamic.tolist())
    on_box = tracks.dynamic
    np.testing.assert_allclose(tracks.xyz[on_box][..., 2], BOX, atol=1e-3)
    way = tracks.xyz - tracks.xyz[:, :1]
    np.testing.assert_allclose(
        way[on_box], np.broadcast_to(scene.box - scene.box[0], way[on_box].shape), atol=1e-4
    )
    assert not way[~on_box].any()


def test_the_wall_is_hidden_where_the_box_comes(read_back: tuple[Path, str], scene: Truth) -> None:
    tracks = movi.read(*read_back).tracks
    assert tracks is not None and tracks.xyz is not None and tracks.uv is not None
    assert tracks.query is not None and tracks.dynamic is not None
    asked = np.arange(len(tracks.query))
    assert tracks.visible[asked, tracks.query].all()
    x, y = np.clip(np.floor(tracks.uv), 0, [47, 31]).astype(int).transpose(2, 0, 1)
    inside = ((tracks.uv >= 1) & (tracks.uv < [47, 31])).all(-1)
    row = np.arange(5)
    box = scene.on_box
    deep = box.copy()  # only pixels all of whose neighbours are of the box
    for axis, shift in product((1, 2), (1, -1)):
        deep &= np.roll(box, shift, axis)
    hidden = inside & deep[row, y, x] & ~tracks.dynamic[:, None]
    assert hidden.any() and not tracks.visible[hidden].any()
    open_wall = inside & ~tracks.dynamic[:, None]
    for axis, shift in product((1, 2), (1, -1)):
        open_wall &= ~np.roll(box, shift, axis)[row, y, x]
    open_wall &= ~box[row, y, x]
    assert tracks.visible[open_wall].mean() > 0.99


def test_depth_alone_hides_what_lies_behind(tmp_path: Path, scene: Truth) -> None:
    """Where all is of one segment, as the folds of one object are."""
    write_folder(tmp_path / "a", scene)
    for k in range(5):
        path = tmp_path / "a" / f"segmentation_{k:05d}.png"
        Image.fromarray(np.zeros((32, 48), np.uint8)).save(path)
    tracks = movi.read(tmp_path, "a").tracks
    assert tracks is not None and tracks.xyz is not None and tracks.uv is not None
    wall = tracks.xyz[:, 0, 2] > BOX + 0.5
    x, y = np.clip(np.floor(tracks.uv), 0, [47, 31]).astype(int).transpose(2, 0, 1)
    deep = scene.on_box.copy()
    for axis, shift in product((1, 2), (1, -1)):
        deep &= np.roll(scene.on_box, shift, axis)
    inside = ((tracks.uv >= 1) & (tracks.uv < [47, 31])).all(-1)
    hidden = inside & wall[:, None] & deep[np.arange(5), y, x]
    assert hidden.any() and not tracks.visible[hidden].any()


def test_an_object_that_starts_late_moves_in_all_its_frames(tmp_path: Path) -> None:
    scene = truth(3)
    write_folder(tmp_path / "a", scene)
    note = json.loads((tmp_path / "a" / "metadata.json").read_text())
    boxes = np.array(note["instances"][0]["bboxes_3d"])
    boxes[1] = boxes[0]
    note["instances"][0]["bboxes_3d"] = boxes.tolist()
    (tmp_path / "a" / "metadata.json").write_text(json.dumps(note))
    clip = movi.read(tmp_path, "a", frames=[0, 1])
    np.testing.assert_array_equal(clip.dynamic, scene.on_box[:2])
    boxes[2] = boxes[0] + 0.005  # less than the threshold: physics at rest trembles
    note["instances"][0]["bboxes_3d"] = boxes.tolist()
    (tmp_path / "a" / "metadata.json").write_text(json.dumps(note))
    still = movi.read(tmp_path, "a").dynamic
    assert still is not None and not still.any()


def test_some_frames_are_those_frames(read_back: tuple[Path, str]) -> None:
    whole, part = movi.read(*read_back), movi.read(*read_back, frames=[4, 1, 2])
    assert part.frame_names == ("00004", "00001", "00002")
    np.testing.assert_array_equal(part.depth, whole.depth[[4, 1, 2]])  # type: ignore[index]
    assert part.flow is not None and whole.flow is not None
    assert np.isnan(part.flow[0]).all()  # frame 1 does not follow frame 4
    np.testing.assert_array_equal(part.flow[1], whole.flow[1])


def test_files_that_are_missing_or_broken_are_named(tmp_path: Path, scene: Truth) -> None:
    assert "of MOVi" in movi.problems(tmp_path)[0]
    with pytest.raises(InputError, match=r"holds no clip; looked for .* of MOVi"):
        movi.names(tmp_path)
    write_folder(tmp_path / "a", scene)
    (tmp_path / "a" / "depth_00002.tiff").unlink()
    (tmp_path / "a" / "rgba_00001.png").write_bytes(b"")
    assert movi.problems(tmp_path) == [
        f"{tmp_path}/a/rgba_00001.png: is empty",
        f"{tmp_path}/a/depth_00002.tiff: is missing",
    ]
    with pytest.raises(InputError, match=r"rgba_00001\.png: cannot be read"):
        movi.read(tmp_path, "a")
    with pytest.raises(InputError, match=r"depth_00002\.tiff: is missing"):
        movi.read(tmp_path, "a", frames=[2])
    with pytest.raises(InputError, match="frame 5 was asked for"):
        movi.read(tmp_path, "a", frames=[5])


def test_a_record_file_that_is_cut_off_is_named(tmp_path: Path, scene: Truth) -> None:
    path = tmp_path / "movi_f-train.tfrecord-00000-of-00001"
    write_records(path, scene)
    path.write_bytes(path.read_bytes()[:-9])
    assert movi.problems(tmp_path) == [
        f"{path}: cannot be read as records of MOVi (it is cut off in record 1); replace it."
    ]
    with pytest.raises(InputError, match="cut off in record 1"):
        movi.names(tmp_path)


def test_integers_of_any_length_are_read() -> None:
    values = np.array([0, 127, 128, 300, 65535, 2**31, 2**62])
    content = io.BytesIO(record({"a": values, "b": [b"x", b""], "c": np.array([0.5])})).getvalue()
    found = tfrecord.example(content[12:-4])
    np.testing.assert_array_equal(found["a"], values)
    assert found["b"] == [b"x", b""]
    np.testing.assert_array_equal(found["c"], [0.5])
