"""An animated GLB shows what the scene holds, in glTF's axes, to libraries that read glTF."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from moving_scene import MIDDLE, H, W, make_scene
from pygltflib import GLTF2
from scipy.spatial.transform import Rotation

from worldline.io.exports.clouds import linear_colours
from worldline.scene import Scene, TrackField

SHAPES = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


class Read:
    """A GLB and its arrays, as the glTF specification says where they are."""

    def __init__(self, path: Path) -> None:
        self.gltf = GLTF2().load(str(path))
        self.nodes = {node.name: i for i, node in enumerate(self.gltf.nodes)}

    def array(self, accessor: int) -> np.ndarray:
        found = self.gltf.accessors[accessor]
        view = self.gltf.bufferViews[found.bufferView]
        dtype = {5126: np.float32, 5123: np.uint16}[found.componentType]
        rows = np.frombuffer(
            self.gltf.binary_blob(), dtype, found.count * SHAPES[found.type], view.byteOffset
        ).reshape(found.count, -1)
        assert found.min == rows.min(axis=0).tolist() and found.max == rows.max(axis=0).tolist()
        return rows / 65535.0 if found.normalized else rows

    def animated(self, node: str, what: str) -> tuple[np.ndarray, np.ndarray, str]:
        clip = self.gltf.animations[0]
        (channel,) = (
            c for c in clip.channels if c.target.node == self.nodes[node] and c.target.path == what
        )
        sampler = clip.samplers[channel.sampler]
        times = self.array(sampler.input)[:, 0]
        return times, self.array(sampler.output), sampler.interpolation

    def points(self, node: str) -> tuple[np.ndarray, np.ndarray]:
        (primitive,) = self.gltf.meshes[self.gltf.nodes[self.nodes[node]].mesh].primitives
        assert primitive.mode == 0
        attributes = primitive.attributes
        return self.array(attributes.POSITION), self.array(attributes.COLOR_0)


def seen_by_gltf(read: Read, i: int, points: np.ndarray) -> np.ndarray:
    """Pixels of glTF world points in frame i: through the animated node and yfov/aspect alone."""
    turn = Rotation.from_quat(read.animated("camera", "rotation")[1][i])
    local = turn.inv().apply(points - read.animated("camera", "translation")[1][i])
    lens = read.gltf.cameras[0].perspective
    up = local[:, 1] / -local[:, 2] / np.tan(lens.yfov / 2)
    right = local[:, 0] / -local[:, 2] / np.tan(lens.yfov / 2) / lens.aspectRatio
    return np.stack([(1 + right) * W / 2, (1 - up) * H / 2], axis=-1)


def test_camera_sees_known_points_at_their_pixels(tmp_path: Path) -> None:
    """Protects axes, pose direction, field of view and the half-pixel convention at once."""
    scene = make_scene(principal=MIDDLE)
    read = Read(scene.export(tmp_path / "scene.glb"))
    pixels = np.array([[0.5, 0.5], [47.5, 0.5], [10.5, 30.5]])
    for i in range(len(scene)):
        world = scene.pointmap(i, pixels=pixels)
        seen = seen_by_gltf(read, i, world * (1, -1, -1))
        assert np.abs(seen - pixels).max() < 1e-3
    times, turns, blending = read.animated("camera", "rotation")
    assert np.allclose(times, scene.times) and blending == "LINEAR"
    flip = np.diag([1.0, -1.0, -1.0])
    rotations = flip @ Rotation.from_quat(turns).as_matrix() @ flip
    places = read.animated("camera", "translation")[1] * (1, -1, -1)
    assert np.abs(rotations - scene.cameras.world_from_camera[:, :3, :3]).max() < 1e-5
    assert np.abs(places - scene.cameras.world_from_camera[:, :3, 3]).max() < 1e-5


def test_extras_hold_what_gltf_s_camera_cannot(tmp_path: Path) -> None:
    """Protects zoom and a principal point off the middle: exact, in pixels of the input."""
    scene = make_scene()
    read = Read(scene.export(tmp_path / "scene.glb"))
    extras = read.gltf.nodes[read.nodes["camera"]].extras
    scale = np.divide(extras["image_size"], scene.size)
    pixels = np.array([[0.5, 0.5], [47.5, 0.5], [10.5, 30.5]])
    for i, k in enumerate(extras["intrinsics"]):
        turn = Rotation.from_quat(read.animated("camera", "rotation")[1][i])
        points = scene.pointmap(i, pixels=pixels) * (1, -1, -1)
        local = turn.inv().apply(points - read.animated("camera", "translation")[1][i])
        seen = (local * (1, -1, -1)) @ np.transpose(k)
        assert np.abs(seen[:, :2] / seen[:, 2:] / scale - pixels).max() < 1e-3


def test_points_are_the_scene_s(tmp_path: Path) -> None:
    """Protects positions, linear colours, and that a frame's moving points show at its time."""
    scene = make_scene()
    read = Read(scene.export(tmp_path / "scene.glb"))
    cloud = scene.complete(0)
    still = cloud[cloud.dynamic <= 0.5]
    xyz, colours = read.points("points")
    assert np.array_equal(xyz, still.xyz * np.array([1, -1, -1], np.float32))
    assert np.abs(colours[:, :3] - linear_colours(still.rgb)).max() < 1e-5
    for j in range(len(scene)):
        name = f"moving_{j:05d}"
        own = scene.pointmap(j)[scene.dynamic[j] > 0.5] * (1, -1, -1)
        found = read.points(name)[0]
        assert len(found) == (scene.dynamic > 0.5).sum()  # gathered from all frames
        assert np.abs(found[:, None] - own).max(-1).min(0).max() < 1e-4
        times, scales, blending = read.animated(name, "scale")
        assert blending == "STEP"
        for i, t in enumerate(scene.times.astype(np.float32)):
            shown = scales[max(0, np.searchsorted(times, t, "right") - 1)]
            assert shown.tolist() == [float(i == j)] * 3
    loaded = trimesh.load(tmp_path / "scene.glb")
    assert np.abs(loaded.geometry["points"].vertices - still.xyz * (1, -1, -1)).max() < 1e-6
    names = {f"moving_{j:05d}" for j in range(len(scene))}
    assert set(loaded.geometry) == {"points", *names}


def test_tracks_move_as_empties(tmp_path: Path) -> None:
    """Protects what an animator attaches things to: world positions at the clip's times."""
    scene = make_scene()
    read = Read(scene.export(tmp_path / "scene.glb"))
    names = [name for name in read.nodes if name.startswith("track_")]
    assert 0 < len(names) <= 64
    times, places, blending = read.animated(names[0], "translation")
    steps = np.diff(places * (1, -1, -1), axis=0)
    assert np.allclose(steps, (0.06, -0.03, 0.02), atol=1e-3)
    assert np.allclose(times, scene.times) and blending == "LINEAR"


def broken(case: str) -> Scene:
    if case == "one frame":
        return make_scene(1)
    if case == "nothing moves":
        return make_scene(moves=False)
    scene = make_scene()
    depth = scene.depth.copy()
    depth[:, :, :20] = np.nan
    return replace(scene, depth=depth)


@pytest.mark.parametrize("case", ["one frame", "nothing moves", "holes"])
def test_poor_scenes_are_written_too(tmp_path: Path, case: str) -> None:
    scene = broken(case)
    read = Read(scene.export(tmp_path / "scene.glb"))
    xyz, _ = read.points("points")
    cloud = scene.complete(0)
    assert len(xyz) == (cloud.dynamic <= 0.5).sum() and np.isfinite(xyz).all()
    assert ("moving" in read.nodes) == (case != "nothing moves")


def test_bounds_on_points(tmp_path: Path) -> None:
    scene = make_scene()
    read = Read(scene.export(tmp_path / "few.glb", max_points=200))
    meshes = [node.name for node in read.gltf.nodes if node.mesh is not None]
    assert 150 <= sum(len(read.points(name)[0]) for name in meshes) <= 200
    read = Read(scene.export(tmp_path / "none.glb", min_confidence=9.0))
    assert list(read.nodes) == ["camera"]
    assert np.allclose(
        read.gltf.nodes[0].extras["intrinsics"], scene.original_intrinsics, atol=1e-9
    )


def test_points_whose_motion_is_unknown_show_in_their_own_frame_alone(tmp_path: Path) -> None:
    """Protects from ghosts of a mover's other places; a frame's own points take their room."""
    scene = make_scene()
    assert isinstance(scene.motion, TrackField)
    never = np.zeros_like(scene.motion.visible)
    scene = replace(scene, motion=replace(scene.motion, visible=never))
    read = Read(scene.export(tmp_path / "scene.glb", max_points=400))
    for j in range(len(scene)):
        found = read.points(f"moving_{j:05d}")[0]
        own = scene.pointmap(j)[scene.dynamic[j] > 0.5] * (1, -1, -1)
        assert len(found) == 400 // 2 // len(scene)
        assert np.abs(found[:, None] - own).max(-1).min(1).max() < 1e-5


def test_same_scene_gives_the_same_file(tmp_path: Path) -> None:
    a, b = (make_scene().export(tmp_path / f"{name}.glb", max_points=500) for name in "ab")
    assert a.read_bytes() == b.read_bytes()
