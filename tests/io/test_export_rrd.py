"""A Rerun recording, read by Rerun's own reader, holds the scene at its times."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from moving_scene import H, W, make_scene

from worldline.errors import StorageError

pytest.importorskip("rerun")
from rerun.chunk import RrdReader


class Read:
    """Rows of a recording: entity -> component -> one value for each logged time."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, dict[str, list[Any]]] = {}
        for chunk in RrdReader(path).stream().to_chunks():
            columns = self.rows.setdefault(chunk.entity_path, {})
            for name, values in chunk.to_record_batch().to_pydict().items():
                columns.setdefault(name.split(":")[-1], []).extend(values)

    def array(self, entity: str, component: str, j: int = 0) -> np.ndarray:
        return np.array(self.rows[entity][component][j])


def seen_by_rerun(read: Read, i: int, points: np.ndarray) -> np.ndarray:
    """Pixels of world points: by the transform to the parent and the pinhole, column by column."""
    turn = read.array("/world/camera", "mat3x3", i).reshape(3, 3).T
    local = (points - read.array("/world/camera", "translation", i)[0]) @ turn
    k = read.array("/world/camera/image", "image_from_camera", i).reshape(3, 3).T
    pixels = local @ k.T
    return pixels[:, :2] / pixels[:, 2:]


def test_cameras_see_known_points_at_their_pixels(tmp_path: Path) -> None:
    """Protects axes, pose direction, intrinsics, the half-pixel convention and the time lines."""
    scene = make_scene()
    read = Read(scene.export(tmp_path / "scene.rrd"))
    pixels = np.array([[0.5, 0.5], [47.5, 0.5], [10.5, 30.5]])
    for i in range(len(scene)):
        world = scene.pointmap(i, pixels=pixels)
        assert np.abs(seen_by_rerun(read, i, world) - pixels).max() < 1e-3
        k = read.array("/world/camera/image", "image_from_camera", i).reshape(3, 3).T
        assert np.abs(k - scene.cameras.intrinsics[i]).max() < 1e-5
        turn = read.array("/world/camera", "mat3x3", i).reshape(3, 3).T
        assert np.abs(turn - scene.cameras.world_from_camera[i, :3, :3]).max() < 1e-5
        place = read.array("/world/camera", "translation", i)[0]
        assert np.abs(place - scene.cameras.world_from_camera[i, :3, 3]).max() < 1e-5
    seconds = [t.total_seconds() for t in read.rows["/world/camera"]["time"]]
    assert seconds == pytest.approx(scene.times.tolist())
    assert read.rows["/world/camera"]["frame"] == list(range(len(scene)))
    assert read.array("/world", "xyz").ravel().tolist() == [3, 2, 5]  # right, down, forward


def test_pictures_points_and_tracks_are_the_scene_s(tmp_path: Path) -> None:
    scene = make_scene()
    depth = scene.depth.copy()
    depth[:, :5] = np.nan
    scene = replace(scene, depth=depth)
    read = Read(scene.export(tmp_path / "scene.rrd"))
    image = "/world/camera/image"
    for j in range(len(scene)):
        data = read.array(f"{image}/depth", "buffer", j).astype(np.uint8)
        assert np.array_equal(data.view("<f4").reshape(H, W), np.nan_to_num(depth[j]))
        mask = read.array(f"{image}/moving", "buffer", j).reshape(H, W)
        assert np.array_equal(mask, scene.dynamic[j] > 0.5)
        jpeg = read.array(f"{image}/rgb", "blob", j).astype(np.uint8).ravel()
        frame = cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB)
        off = np.square(frame - scene.frames[j].astype(float)).mean()
        assert 10 * np.log10(255**2 / off) > 30
        own = scene.pointmap(j)[scene.dynamic[j] > 0.5]
        moving = read.array("/world/moving", "positions", j)
        assert np.abs(moving[:, None] - own).max(-1).min(0).max() < 1e-4
    cloud = scene.complete(0)
    still = cloud[cloud.dynamic <= 0.5]
    assert np.abs(read.array("/world/points", "positions") - still.xyz).max() < 1e-6
    strips = read.array("/world/tracks", "strips", -1)
    assert strips.shape[1:] == (len(scene), 3)
    assert np.allclose(np.diff(strips, axis=1), (0.06, -0.03, 0.02), atol=1e-3)


@pytest.mark.parametrize("case", ["one frame", "nothing moves", "nothing left"])
def test_poor_scenes_are_written_too(tmp_path: Path, case: str) -> None:
    scene = make_scene(1 if case == "one frame" else 3, moves=case != "nothing moves")
    least = 9.0 if case == "nothing left" else None
    read = Read(scene.export(tmp_path / "a.rrd", min_confidence=least))
    assert len(read.rows["/world/moving"]["positions"]) == len(scene)
    assert "/world/tracks" not in read.rows
    assert (read.array("/world/points", "positions").size == 0) == (case == "nothing left")


def test_points_are_bounded_over_all_times(tmp_path: Path) -> None:
    read = Read(make_scene().export(tmp_path / "a.rrd", max_points=100))
    clouds = [*read.rows["/world/moving"]["positions"], read.array("/world/points", "positions")]
    assert 75 <= sum(len(cloud) for cloud in clouds) <= 100


def test_a_refusing_disk_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.rrd").mkdir()
    with pytest.raises(StorageError, match="nothing was written"):
        make_scene(2).export(tmp_path / "a.rrd", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.rrd"]
