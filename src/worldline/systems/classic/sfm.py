"""Structure from motion on tracks. The only system's file that knows pycolmap.

What the engine is given (which tracks, which frames and pairs, which focal length, held or free)
is decided in `cameras.py`. COLMAP's pixels have their top-left centre at (0.5, 0.5) as ours do,
and its axes are OpenCV's.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
from jaxtyping import Bool, Float32, Float64

pycolmap.logging.minloglevel = int(pycolmap.logging.FATAL)

_LOSS_SCALE = 1.0  # px: beyond this a residual counts as an outlier more and more
_FEWEST_MATCHES = 20


@dataclass(frozen=True)
class Lens:
    """Focal length and principal point in pixels and one radial coefficient, of all frames."""

    focal: float
    centre: tuple[float, float]
    radial: float = 0.0

    def camera(self, size: tuple[int, int]) -> pycolmap.Camera:
        """COLMAP's camera, of id 1."""
        return pycolmap.Camera(
            camera_id=1,
            model="SIMPLE_RADIAL",
            width=size[0],
            height=size[1],
            params=[self.focal, *self.centre, self.radial],
            has_prior_focal_length=True,
        )


@dataclass(frozen=True)
class Frames:
    """What structure from motion looks at: tracks in K frames of one size."""

    uv: Float32[np.ndarray, "M K 2"]
    visible: Bool[np.ndarray, "M K"]
    size: tuple[int, int]


@dataclass(frozen=True)
class Structure:
    """Cameras and points in a common frame of arbitrary position, turn and scale."""

    camera_from_world: Float64[np.ndarray, "K 4 4"]
    registered: Bool[np.ndarray, " K"]
    points: Float64[np.ndarray, "M 3"]
    """One a track; NaN where it has none."""
    lens: Lens


def map_frames(
    frames: Frames, pairs: list[tuple[int, int]], lens: Lens, *, hold_focal: bool, seed: int
) -> Structure | None:
    """Cameras of frames from nothing but tracks: incrementally, or globally where that fails."""
    with tempfile.TemporaryDirectory(prefix="worldline-") as folder:
        path = Path(folder)
        _write_database(path / "tracks.db", frames, pairs, lens, seed)
        count = frames.visible.shape[1]
        best = _largest(_incremental(path, count, hold_focal=hold_focal, seed=seed))
        complete = best is not None and best.num_reg_images() == count
        if not complete:
            other = _largest(_global(path, hold_focal=hold_focal, seed=seed))
            if other is not None and (
                best is None or other.num_reg_images() > best.num_reg_images()
            ):
                best = other
        return None if best is None else _read_structure(best, frames)


def adjust(
    frames: Frames,
    structure: Structure,
    *,
    hold_focal: bool = True,
    hold_radial: bool = True,
    hold_centre: bool = True,
    iterations: int = 40,
) -> tuple[Structure, float]:
    """Bundle adjustment with a robust loss; the refined structure and its final cost.

    The cost is half the sum of robust squared residuals in px^2, for comparing lens models on
    the same observations; infinite, and nothing refined, where no point is left.
    """
    built = _build(frames, structure)
    if not built.points3D:
        return structure, float("inf")
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length = not hold_focal
    options.refine_extra_params = not hold_radial
    options.refine_principal_point = not hold_centre
    options.print_summary = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
    options.ceres.loss_function_scale = _LOSS_SCALE
    solver = options.ceres.solver_options
    solver.num_threads = 1  # threads would sum in another order each time
    solver.max_num_iterations = iterations
    solver.function_tolerance = 1e-6
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in built.images:
        config.add_image(image_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    adjuster = pycolmap.create_default_ceres_bundle_adjuster(options, config, built)
    summary: Any = adjuster.solve()
    return _read_structure(built, frames), float(summary.ceres_summary.final_cost)


def resect(
    uv: Float32[np.ndarray, "P 2"],
    points: Float64[np.ndarray, "P 3"],
    frames: Frames,
    lens: Lens,
) -> Float64[np.ndarray, "4 4"] | None:
    """`camera_from_world` of a frame from points already known; None if they do not tell."""
    estimation = pycolmap.AbsolutePoseEstimationOptions()
    estimation.ransac.max_error = 4.0
    estimation.ransac.random_seed = 0
    found = pycolmap.estimate_and_refine_absolute_pose(
        uv.astype(np.float64), points, lens.camera(frames.size), estimation
    )
    if found is None or found["num_inliers"] < max(12, 0.3 * len(uv)):
        return None
    return _square(found["cam_from_world"])


def undistort(
    uv: Float32[np.ndarray, "*b 2"], lens: Lens, frames: Frames
) -> Float32[np.ndarray, "*b 2"]:
    """Pixels moved to where a pinhole of the same focal length would have seen them."""
    camera = lens.camera(frames.size)
    flat = np.asarray(camera.cam_from_img(uv.reshape(-1, 2).astype(np.float64)))
    straight = flat * lens.focal + np.array(lens.centre)
    return straight.reshape(uv.shape).astype(np.float32)


def _write_database(
    path: Path, frames: Frames, pairs: list[tuple[int, int]], lens: Lens, seed: int
) -> None:
    camera = lens.camera(frames.size)
    with pycolmap.Database.open(path) as database:
        database.write_camera(camera, use_camera_id=True)
        rig = pycolmap.Rig(rig_id=1)
        rig.add_ref_sensor(camera.sensor_id)
        database.write_rig(rig, use_rig_id=True)
        # Row of each track among a frame's keypoints.
        row = np.cumsum(frames.visible, axis=0) - 1
        for k in range(frames.visible.shape[1]):
            image = pycolmap.Image(name=f"{k:06d}", camera_id=1, image_id=k + 1)
            database.write_image(image, use_image_id=True)
            frame = pycolmap.Frame(frame_id=k + 1, rig_id=1)
            frame.add_data_id(image.data_id)
            database.write_frame(frame, use_frame_id=True)
            database.write_keypoints(k + 1, frames.uv[frames.visible[:, k], k])
        for a, b in pairs:
            both = np.flatnonzero(frames.visible[:, a] & frames.visible[:, b])
            if len(both) >= _FEWEST_MATCHES:
                _write_pair(database, frames, (a, b), both, row, camera, seed)


def _write_pair(
    database: pycolmap.Database,
    frames: Frames,
    pair: tuple[int, int],
    both: np.ndarray,
    row: np.ndarray,
    camera: pycolmap.Camera,
    seed: int,
) -> None:
    a, b = pair
    options = pycolmap.TwoViewGeometryOptions()
    options.ransac.max_error = 2.0
    options.ransac.max_num_trials = 1000
    options.ransac.random_seed = seed
    options.compute_relative_pose = True
    one = np.arange(len(both), dtype=np.uint32)
    geometry = pycolmap.estimate_calibrated_two_view_geometry(
        camera,
        frames.uv[both, a].astype(np.float64),
        camera,
        frames.uv[both, b].astype(np.float64),
        np.stack([one, one], axis=-1),
        options,
    )
    matches = np.stack([row[both, a], row[both, b]], axis=-1).astype(np.uint32)
    geometry.inlier_matches = matches[geometry.inlier_matches[:, 0]]
    database.write_matches(a + 1, b + 1, matches)
    database.write_two_view_geometry(a + 1, b + 1, geometry)


def _incremental(
    path: Path, count: int, *, hold_focal: bool, seed: int
) -> dict[int, pycolmap.Reconstruction]:
    options = pycolmap.IncrementalPipelineOptions()
    options.multiple_models = False
    options.min_model_size = 2
    options.extract_colors = False
    options.random_seed = options.mapper.random_seed = options.triangulation.random_seed = seed
    options.num_threads = options.mapper.num_threads = 1  # see `adjust`
    options.ba_refine_focal_length = not hold_focal
    options.ba_refine_extra_params = False
    options.mapper.abs_pose_refine_focal_length = False
    options.mapper.abs_pose_refine_extra_params = False
    # Video has small baselines: angles that stills would reject are all there is.
    options.mapper.init_min_tri_angle = 8.0  # the mapper halves it by itself
    options.mapper.init_min_num_inliers = 40
    options.mapper.filter_min_tri_angle = 0.4
    options.triangulation.min_angle = 0.4
    options.triangulation.ignore_two_view_tracks = count > 2  # two have no others
    options.mapper.abs_pose_max_error = 4.0
    options.mapper.abs_pose_min_num_inliers = 15
    options.ba_global_max_refinements = 2
    options.ba_local_max_refinements = 1
    options.ba_global_frames_ratio = options.ba_global_points_ratio = 1.3
    options.ba_global_function_tolerance = options.ba_local_function_tolerance = 1e-6
    options.mapper.filter_max_reproj_error = 3.0
    out = path / "incremental"
    out.mkdir()
    return dict(pycolmap.incremental_mapping(path / "tracks.db", path, out, options))


def _global(path: Path, *, hold_focal: bool, seed: int) -> dict[int, pycolmap.Reconstruction]:
    options = pycolmap.GlobalPipelineOptions()
    options.random_seed = options.mapper.random_seed = seed
    options.num_threads = options.mapper.num_threads = 1
    options.mapper.bundle_adjustment.refine_focal_length = not hold_focal
    options.mapper.bundle_adjustment.refine_extra_params = False
    options.mapper.min_tri_angle_deg = 0.4
    options.mapper.retriangulation.min_angle = 0.4
    out = path / "global"
    out.mkdir()
    return dict(pycolmap.global_mapping(path / "tracks.db", path, out, options))


def _largest(models: dict[int, pycolmap.Reconstruction]) -> pycolmap.Reconstruction | None:
    return max(models.values(), key=lambda model: model.num_reg_images(), default=None)


def _build(frames: Frames, structure: Structure) -> pycolmap.Reconstruction:
    """A COLMAP model with image k+1 for frame k."""
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(structure.lens.camera(frames.size))
    known = np.isfinite(structure.points).all(axis=1)
    use = frames.visible & known[:, None] & structure.registered
    use &= use.sum(axis=1, keepdims=True) >= 2
    row = np.cumsum(frames.visible, axis=0) - 1
    for k in np.flatnonzero(structure.registered):
        keypoints = frames.uv[frames.visible[:, k], k].astype(np.float64)
        image = pycolmap.Image(
            name=f"{k:06d}",
            camera_id=1,
            image_id=int(k) + 1,
            points2D=pycolmap.Point2DList([pycolmap.Point2D(xy) for xy in keypoints]),
        )
        model.add_image_with_trivial_frame(
            image, pycolmap.Rigid3d(structure.camera_from_world[k, :3])
        )
    for m in np.flatnonzero(use.any(axis=1)):
        elements = [
            pycolmap.TrackElement(int(k) + 1, int(row[m, k])) for k in np.flatnonzero(use[m])
        ]
        model.add_point3D(structure.points[m], pycolmap.Track(elements))
    return model


def _read_structure(model: pycolmap.Reconstruction, frames: Frames) -> Structure:
    tracks, count = frames.visible.shape
    poses = np.tile(np.eye(4), (count, 1, 1))
    registered = np.zeros(count, bool)
    points = np.full((tracks, 3), np.nan)
    for image_id, image in model.images.items():
        if not image.has_pose:
            continue
        k = image_id - 1
        registered[k] = True
        poses[k] = _square(image.cam_from_world())
        # Keypoints stand in the order of the tracks seen in the frame.
        seen = np.flatnonzero(frames.visible[:, k])
        ids = [p.point3D_id if p.has_point3D() else -1 for p in image.points2D]
        has = np.array(ids) >= 0
        if has.any():
            points[seen[has]] = [model.points3D[i].xyz for i in ids if i >= 0]
    focal, x, y, radial = (float(value) for value in model.cameras[1].params)
    return Structure(poses, registered, points, Lens(focal, (x, y), radial))


def _square(rigid: pycolmap.Rigid3d) -> Float64[np.ndarray, "4 4"]:
    return np.vstack([rigid.matrix(), [0.0, 0.0, 0.0, 1.0]])
