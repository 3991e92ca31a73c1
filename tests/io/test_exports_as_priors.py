"""What a scene exports comes back as known cameras, depth and masks, each at its own frame."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from export_world import make_world

from worldline.io.priors import Kept, known_cameras, known_maps
from worldline.scene import Scene

SOLVED = np.array([True, False, True, True, False, True])
# Poses and intrinsics (pixels), as docs/formats.md states them.
PRECISION = {"colmap": 1e-9, "nerfstudio": 1e-12, "tum": 1e-8, "npz": 1e-12}
ENDINGS = {"tum": ".txt", "npz": ".npz"}


@pytest.fixture
def scene() -> Scene:
    """Six frames, two of them with interpolated cameras, each with a lens of its own."""
    world = make_world(len(SOLVED), zooms=True)
    return replace(world, cameras=replace(world.cameras, registered=SOLVED))


def kept(scene: Scene, frames: slice = slice(None), names: tuple[str, ...] = ()) -> Kept:
    """The same clip, read again: these of its frames."""
    times = scene.times[frames]
    return Kept(times, names, len(times), 1, scene.original_size, scene.size)


@pytest.mark.parametrize("to", PRECISION)
@pytest.mark.parametrize("frames", [slice(None), slice(None, None, 2), slice(1, 5)])
def test_cameras_come_back_at_their_frames(
    scene: Scene, tmp_path: Path, to: str, frames: slice
) -> None:
    """Also when other frames of the clip are kept than before, even as many as were solved."""
    written = scene.export(tmp_path / f"out{ENDINGS.get(to, '')}", to=to)
    poses, intrinsics = known_cameras(written, kept(scene, frames))
    solved = SOLVED[frames]
    assert np.array_equal(np.isfinite(poses).all(axis=(1, 2)), solved)
    truth = scene.cameras.world_from_camera[frames]
    assert np.abs(poses - truth)[solved].max() < PRECISION[to]
    if to == "tum":
        assert np.isnan(intrinsics).all()
        return
    told = np.ones_like(solved) if to == "npz" else solved
    assert np.array_equal(np.isfinite(intrinsics).all(axis=(1, 2)), told)
    lenses = scene.cameras.intrinsics[frames]
    assert np.abs(intrinsics - lenses)[told].max() < 10 * PRECISION[to]


@pytest.mark.parametrize("to", ["colmap", "nerfstudio"])
def test_frame_numbers_of_an_export_are_no_file_names_of_stills(
    scene: Scene, tmp_path: Path, to: str
) -> None:
    """Stills named like an export's, of which the first two were not in the scene."""
    folder = scene.export(tmp_path / "out", to=to)
    names = tuple(f"{i + 2:06d}.png" for i in range(len(scene)))
    poses, _ = known_cameras(folder, kept(scene, names=names))
    assert np.array_equal(np.isfinite(poses).all(axis=(1, 2)), SOLVED)
    assert np.allclose(poses[5], scene.cameras.world_from_camera[5])


def test_a_colmap_model_is_found_at_any_depth(scene: Scene, tmp_path: Path) -> None:
    folder = scene.export(tmp_path / "out", to="colmap")
    for home in (folder, folder / "sparse", folder / "sparse" / "0"):
        poses, _ = known_cameras(home, kept(scene))
        assert np.array_equal(np.isfinite(poses).all(axis=(1, 2)), SOLVED)


@pytest.mark.parametrize("to", ["depth-png", "depth-exr", "npz", "nerfstudio"])
@pytest.mark.parametrize("frames", [slice(None), slice(2, None)])
def test_depth_comes_back(scene: Scene, tmp_path: Path, to: str, frames: slice) -> None:
    """Exactly, but for PNG: half of its step. Unknown stays unknown."""
    written = scene.export(tmp_path / f"out{ENDINGS.get(to, '')}", to=to)
    depth = known_maps(written, kept(scene, frames), "depth")
    truth = scene.depth[frames].copy()
    if to == "nerfstudio":
        truth[~SOLVED[frames]] = np.nan
    assert np.array_equal(np.isnan(depth), np.isnan(truth))
    half_a_step = {"depth-png": 0.5e-4, "nerfstudio": 0.5e-4}.get(to, 0.0)
    assert np.nanmax(np.abs(depth - truth)) <= half_a_step + 2 * np.spacing(np.float32(4.0)) * (
        half_a_step > 0
    )


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("to", ["colmap", "nerfstudio"])
def test_masks_come_back(scene: Scene, tmp_path: Path, to: str, inside: bool) -> None:
    """What the exports blacken is what moves; frames that they leave out are unknown."""
    folder = scene.export(tmp_path / "out", to=to)
    masks = known_maps(folder / "masks" if inside else folder, kept(scene), "masks")
    assert np.array_equal(masks[SOLVED], scene.dynamic[SOLVED])
    assert np.isnan(masks[~SOLVED]).all()


def test_the_archive_s_masks_come_back(scene: Scene, tmp_path: Path) -> None:
    written = scene.export(tmp_path / "out.npz")
    assert np.array_equal(known_maps(written, kept(scene), "masks"), scene.dynamic)
