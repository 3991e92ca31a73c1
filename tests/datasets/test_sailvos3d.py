"""SAIL-VOS 3D's folders give the scene they were made of; films are cut, meshes become tracks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from wall_and_box import BOX, HALF, Truth, check_cameras, check_depth, check_tracks, truth

from worldline.datasets import sailvos3d
from worldline.errors import InputError

NEAR_PLANE = 0.15


@pytest.fixture
def scene() -> Truth:
    return truth(3, shift=(1.3, -0.7))


def projection(scene: Truth) -> np.ndarray:
    """For row vectors, of a camera along -z; depth is 0 at infinity, 1 at the near plane."""
    height, width = scene.depth.shape[1:]
    P = np.zeros((4, 4))
    P[0, 0], P[1, 1] = 2 * scene.K[0, 0] / width, 2 * scene.K[1, 1] / height
    P[3, 2], P[2, 3] = NEAR_PLANE, -1.0
    return P


def write(home: Path, scene: Truth, scale: float = 1.0, start: int = 0) -> None:
    for folder in ("images", "depth", "camera", "rage_matrices", "visible", "mesh"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    for k in range(len(scene.depth)):
        one = f"{start + k:018d}"
        Image.fromarray(scene.frames[k]).save(home / "images" / f"{one}.bmp")
        stored = 6 * (NEAR_PLANE / (scale * scene.depth[k]) + 4e-5)
        stored[0, 0] = 24e-5  # the sky
        np.save(home / "depth" / f"{one}.npy", stored)
        np.savez(home / "rage_matrices" / f"{one}.npz", P_inv=np.linalg.inv(projection(scene)))
        np.save(home / "visible" / f"{one}.npy", scene.on_box[k].astype(np.int32) * 7)
        camera_from_world = np.linalg.inv(scene.world_from_camera[k] @ np.diag([1.0, -1, -1, 1]))
        K = scene.K.copy()
        K[:2, 2] -= [scene.depth.shape[2] / 2, scene.depth.shape[1] / 2]
        (home / "camera" / f"{one}.yaml").write_text(yaml(K, camera_from_world[:3], k % 2 == 0))
        corners = scene.box[k] + HALF * np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
        lines = [f"v {x:.9f} {y:.9f} {z:.9f}" for x, y, z in corners] + ["f 1/1 2/2 3/3 4/4"]
        (home / "mesh" / f"{one}.obj").write_text("\n".join(lines) + "\n")


def yaml(K: np.ndarray, Rt: np.ndarray, flow: bool) -> str:
    """In the style of one line, and in that of many."""
    if flow:
        return f"K: {K.tolist()}\nRt: {Rt.tolist()}\n"
    text = ""
    for key, matrix in (("K", K), ("Rt", Rt)):
        text += f"{key}:\n"
        for row in matrix:
            text += "".join(
                f"{'- -' if i == 0 else '  -'} {v!r}\n" for i, v in enumerate(row.tolist())
            )
    return text


def test_a_sequence_is_the_scene(tmp_path: Path, scene: Truth) -> None:
    write(tmp_path / "ah_3a_ext", scene)
    assert sailvos3d.names(tmp_path) == ["ah_3a_ext"]
    clip = sailvos3d.read(tmp_path, "ah_3a_ext")
    check_cameras(clip, scene)
    check_depth(clip, scene, atol=1e-6)
    assert clip.depth is not None and np.isnan(clip.depth[:, 0, 0]).all()
    np.testing.assert_array_equal(clip.instance, np.where(scene.on_box, 7, -1))
    np.testing.assert_array_equal(clip.frames, scene.frames)
    assert sailvos3d.problems(tmp_path) == [] and clip.metric


def test_a_film_is_cut_where_depth_jumps(tmp_path: Path, scene: Truth) -> None:
    write(tmp_path / "a", scene)
    write(tmp_path / "a", scene, scale=3.0, start=3)
    assert sailvos3d.shots(tmp_path, "a") == [range(3), range(3, 6)]
    second = sailvos3d.read(tmp_path, "a:1")
    assert second.frame_names == tuple(f"{k:018d}" for k in (3, 4, 5))
    assert sailvos3d.read(tmp_path, "a:1", frames=[2]).frame_names == (f"{5:018d}",)
    with pytest.raises(InputError, match="there is no such shot; a has 2"):
        sailvos3d.read(tmp_path, "a:2")


def test_pixels_keep_their_place_in_the_mesh(tmp_path: Path, scene: Truth) -> None:
    write(tmp_path / "a", scene)
    clip = sailvos3d.read(tmp_path, "a")
    paths = sorted((tmp_path / "a/mesh").iterdir())
    tracks = sailvos3d.mesh_tracks(clip, [*paths[:2], None], query=1, step=2)
    assert tracks.xyz is not None and tracks.uv is not None and tracks.query is not None
    assert len(tracks.xyz) == scene.on_box[1, ::2, ::2].sum() > 10
    y, x = np.nonzero(scene.on_box[1] & grid(scene))
    np.testing.assert_allclose(tracks.xyz[:, 1], scene.xyz[1, y, x], atol=1e-6)
    np.testing.assert_allclose(tracks.uv[:, 1], np.stack([x, y], -1) + 0.5, atol=1e-5)
    step = np.broadcast_to(scene.box[0] - scene.box[1], tracks.xyz[:, 0].shape)
    np.testing.assert_allclose(tracks.xyz[:, 0] - tracks.xyz[:, 1], step, atol=1e-6)
    assert np.isnan(tracks.xyz[:, 2]).all() and not tracks.visible[:, 2].any()
    assert tracks.visible[:, :2].all() and tracks.dynamic is not None and tracks.dynamic.all()
    whole = sailvos3d.mesh_tracks(clip, paths, query=0)
    check_tracks(with_tracks(clip, whole), scene, atol=1e-5)


def test_nearer_triangles_hide_farther_ones() -> None:
    K = np.array([[10.0, 0, 5], [0, 10.0, 5], [0, 0, 1]])
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    vertices = np.concatenate([square * 4 + [0, 0, 4], square * 0.2 + [0, 0, 2]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    number, place, z = sailvos3d.rasterised(vertices, faces, K, (10, 10))
    assert (z[4:6, 4:6] == 2).all() and (number[4:6, 4:6] >= 2).all()
    z[4:6, 4:6] = 4
    np.testing.assert_allclose(z, BOX + 1)
    np.testing.assert_allclose(place.sum(-1), 1)
    behind = vertices * [1, 1, -1]
    assert (sailvos3d.rasterised(behind, faces, K, (10, 10))[0] == -1).all()


def test_what_is_missing_or_broken_is_named(tmp_path: Path, scene: Truth) -> None:
    write(tmp_path / "a", scene)
    home, one = tmp_path / "a", f"{1:018d}"
    clip = sailvos3d.read(tmp_path, "a")
    paths = sorted((home / "mesh").iterdir())
    paths[1].write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    with pytest.raises(InputError, match="has other vertices"):
        sailvos3d.mesh_tracks(clip, paths, query=0)
    (home / "camera" / f"{one}.yaml").write_text("K: [1, 2]\n")
    with pytest.raises(InputError, match=rf"{one}\.yaml: cannot be read"):
        sailvos3d.read(tmp_path, "a")
    (home / "depth" / f"{one}.npy").unlink()
    assert sailvos3d.problems(tmp_path) == [f"{tmp_path}/a/depth/{one}.npy: is missing"]
    with pytest.raises(InputError, match=rf"{one}\.npy: is missing"):
        sailvos3d.shots(tmp_path, "a")


def grid(scene: Truth) -> np.ndarray:
    every = np.zeros(scene.on_box[1].shape, bool)
    every[::2, ::2] = True
    return every


def with_tracks(clip: sailvos3d.Clip, tracks: sailvos3d.PointTracks) -> sailvos3d.Clip:
    fields = {name: getattr(clip, name) for name in clip.__dataclass_fields__}
    return sailvos3d.Clip(**{**fields, "tracks": tracks})
