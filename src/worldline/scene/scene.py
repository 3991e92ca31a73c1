"""The Scene: one 4D representation that every system makes and everything else reads."""

import importlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Num, UInt8

from worldline.errors import InputError
from worldline.geometry.projection import invert, pixel_grid, unproject
from worldline.render import Rendering, View, render_points
from worldline.scene.cameras import Cameras
from worldline.scene.cloud import PointCloud, fused
from worldline.scene.gathering import Gathering
from worldline.scene.motion import EndPoints, Motion, MotionField, look_up
from worldline.scene.scene_files import read_scene_files, write_scene_files
from worldline.scene.timing import At, frame_index, frame_positions
from worldline.scene.tracks import Tracks
from worldline.scene.visibility import depth_test, project_to


@dataclass(frozen=True, eq=False, repr=False)
class Scene:
    """N frames of one camera moving through a world that moves too.

    World axes are the first frame's camera (OpenCV: x right, y down, z forward); lengths are in
    scene units, which are metres only if `metric`. Pixels are (x, y) of `frames`, the top-left
    pixel's centre at (0.5, 0.5). Arrays may be memory-mapped; they are never copied whole.

    frames: RGB at the working size.
    times: seconds, strictly increasing.
    depth: z-depth, NaN where unknown.
    confidence: of the depth, >= 0, larger is surer.
    dynamic: probability that the pixel's point moves in the world.
    motion: answers where a frame's points are at another time.
    original_size: (width, height) of the input, in its pixels.
    provenance: plain JSON values: system, source name, input hash, settings, versions, seconds
        of each stage, warnings.

    Raises InputError when the parts do not fit together.
    """

    frames: UInt8[np.ndarray, "N H W 3"]
    times: Float64[np.ndarray, " N"]
    cameras: Cameras
    depth: Float32[np.ndarray, "N H W"]
    confidence: Float32[np.ndarray, "N H W"]
    dynamic: Float32[np.ndarray, "N H W"]
    motion: MotionField
    original_size: tuple[int, int]
    metric: bool = False
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "frames", np.asanyarray(self.frames))
        set_field(self, "times", np.asanyarray(self.times, dtype=np.float64))
        for name in ("depth", "confidence", "dynamic"):
            set_field(self, name, np.asanyarray(getattr(self, name), dtype=np.float32))
        _check_parts(self)

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        width, height = self.size
        system = self.provenance.get("system", "unknown system")
        return (
            f"Scene({len(self)} frames of {width}x{height}, {self.times[0]:.2f}-"
            f"{self.times[-1]:.2f} s, camera: {self.cameras.motion}, motion: {self.motion.kind}, "
            f"{'metric' if self.metric else 'up to scale'}, {system})"
        )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames, in working pixels."""
        return self.frames.shape[2], self.frames.shape[1]

    @property
    def original_intrinsics(self) -> Float64[np.ndarray, "N 3 3"]:
        """Intrinsics in pixels of the input, lens distortion undone."""
        scale = np.array([*np.divide(self.original_size, self.size), 1.0])
        return self.cameras.intrinsics * scale[:, None]

    def query(self, i: int, at: At, pixels: Num[np.ndarray, "M 2"] | None = None) -> Motion:
        """Displacement, confidence and visibility of frame i's points at other times.

        at: a frame index (int), seconds (float), or a sequence of these, answered in one batch.
        pixels: (x, y) in working pixels; None asks for every pixel.
        Returns a Motion of shape [H,W] or [M], with [T] in front if `at` is a sequence. Between
        frames, visibility is tested in the nearest frame.
        """
        i, positions, single, pixels = self._asked(i, at, pixels)
        motion = self.motion.query(i, positions, pixels)
        visible = motion.visible
        if visible is None:
            points = self._base(i, pixels) + motion.displacement
            visible = np.empty(motion.confidence.shape, bool)
            for t, j in enumerate(np.rint(positions).astype(np.int64)):
                visible[t] = self._seen_in(j, points[t])[1]
        pick = 0 if single else slice(None)
        return Motion(motion.displacement[pick], motion.confidence[pick], visible[pick])

    def displacement(
        self, i: int, at: At, pixels: Num[np.ndarray, "M 2"] | None = None
    ) -> Float32[np.ndarray, "*shape 3"]:
        """How far frame i's points have moved, in world axes, at another time.

        Zero at the frame's own time. Arguments and shape as in `query`: [H,W,3] or [M,3], with
        [T] in front if `at` is a sequence.
        """
        i, positions, single, pixels = self._asked(i, at, pixels)
        moved = self.motion.query(i, positions, pixels).displacement
        return moved[0] if single else moved

    def pointmap(
        self, i: int, at: At | None = None, pixels: Num[np.ndarray, "M 2"] | None = None
    ) -> Float32[np.ndarray, "*shape 3"]:
        """World points of frame i's pixels, where they are at time `at` (4RC, eq. 2).

        at: None for the frame's own time; else as in `query`.
        pixels: (x, y) in working pixels; between pixel centres, the depth is the nearest
            pixel's along the exact ray. None asks for every pixel.
        Returns [H,W,3] or [M,3], with [T] in front if `at` is a sequence; NaN where the depth is.
        """
        if at is None:
            i = frame_index(i, len(self))
            return self._base(i, None if pixels is None else self._checked(pixels))
        i, positions, single, pixels = self._asked(i, at, pixels)
        points = self._base(i, pixels) + self.motion.query(i, positions, pixels).displacement
        return points[0] if single else points

    def tracks(self, queries: Num[np.ndarray, "M 3"]) -> Tracks:
        """Points followed through all frames.

        queries: (frame, x, y), working pixels. Points of one frame are answered in one batch.
        """
        queries = np.asarray(queries, np.float64)
        if queries.ndim != 2 or queries.shape[1] != 3:
            raise InputError(f"queries have shape {queries.shape}; expected [M,3] (frame, x, y)")
        if len(queries) and (queries[:, 0] % 1 != 0).any():
            raise InputError("queries start at whole frames: (frame index, x, y)")
        sources = [frame_index(int(i), len(self)) for i in queries[:, 0]]
        shape = (len(queries), len(self))
        xyz, confidence = np.empty((*shape, 3), np.float32), np.empty(shape, np.float32)
        uv, visible = np.empty((*shape, 2), np.float32), np.ones(shape, bool)
        everywhen = np.arange(len(self), dtype=np.float64)
        for i in sorted(set(sources)):
            rows = np.flatnonzero(np.array(sources) == i)
            pixels = self._checked(queries[rows, 1:])
            motion = self.motion.query(i, everywhen, pixels)
            xyz[rows] = (self._base(i, pixels) + motion.displacement).swapaxes(0, 1)
            confidence[rows] = motion.confidence.T
            if motion.visible is not None:
                visible[rows] = motion.visible.T
        for j in range(len(self)):
            uv[:, j], seen = self._seen_in(j, xyz[:, j])
            visible[:, j] &= seen
        return Tracks(xyz, visible, uv, confidence)

    def complete(
        self,
        at: At,
        max_points: int | None = None,
        *,
        seed: int = 0,
        min_confidence: float | None = None,
    ) -> PointCloud:
        """All frames' points gathered at one time; pixels of unknown depth are left out.

        Of a motion field that knows `EndPoints` these are taken as they are, and points of several
        frames that fall on each other become one, weighted by how sure they are.

        max_points: at most so many, drawn before anything is computed, as evenly over the frames
            as they allow; the same seed draws the same ones.
        min_confidence: leaves out pixels whose depth is less sure.
        """
        positions, single = frame_positions(at, self.times)
        if not single:
            raise InputError("complete() gathers points at one time; Gathering does at many")
        if max_points is not None and max_points < 0:
            raise InputError(f"max_points is {max_points}; it must not be negative")
        gathering = Gathering(self, max_points, seed=seed, min_confidence=min_confidence)
        cloud = gathering.at(positions[0])
        if isinstance(self.motion, EndPoints):
            return fused(cloud, self._patch_size(cloud))
        return cloud

    def render(
        self, camera: int | View, at: At | None = None, *, max_points: int | None = 1_000_000
    ) -> Rendering:
        """The scene as `camera` sees it at a time, drawn from all frames' points.

        camera: a frame index, or a `View` of one's own.
        at: None is the camera's own frame's time, so it needs a frame index.
        """
        if isinstance(camera, View):
            if at is None:
                raise InputError("render() of a View needs a time: pass at=")
            view, time = camera, at
        else:
            view, time = self._view(camera), camera if at is None else at
        return self.draw(self.complete(time, max_points), view)

    def draw(self, cloud: PointCloud, view: View) -> Rendering:
        """A cloud of this scene's points as a view sees it, without holes between neighbours."""
        image, depth, alpha = render_points(
            torch.from_numpy(cloud.xyz),
            torch.from_numpy(cloud.rgb),
            torch.from_numpy(np.array(view.intrinsics, np.float64)),
            invert(torch.from_numpy(np.array(view.world_from_camera, np.float64))),
            view.size,
            patch=torch.from_numpy(self._patch_size(cloud)),
        )
        return Rendering(image.numpy(), depth.numpy(), alpha.numpy())

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the scene to the directory `path`: whole or not at all.

        Raises InputError when `path` exists (or, with overwrite, is not a scene), StorageError
        when the disk refuses.
        """
        write_scene_files(self, path, overwrite=overwrite)

    def export(self, path: str | Path, to: str | None = None, **choices: Any) -> Path:
        """Write the scene in a format that other programs read; returns the path.

        to: a name in `worldline.io.exports.FORMATS`; None takes what the path's ending stands for.
        choices: fields of `worldline.io.exports.Choices`, such as at=10 or overwrite=True.

        Raises InputError for a format or choice that there is not, or a path that may not be
        replaced, StorageError when the disk refuses.
        """
        exports = importlib.import_module("worldline.io.exports")  # stands above this floor
        known = [one.name for one in fields(exports.Choices)]
        if unknown := sorted(set(choices) - set(known)):
            raise InputError(f"export() has no choice {unknown[0]!r}; there is: {', '.join(known)}")
        return exports.export(self, path, to, exports.Choices(**choices))

    def _asked(
        self, i: int, at: At, pixels: Num[np.ndarray, "M 2"] | None
    ) -> tuple[int, Float64[np.ndarray, " T"], bool, Float64[np.ndarray, "M 2"] | None]:
        positions, single = frame_positions(at, self.times)
        checked = None if pixels is None else self._checked(pixels)
        return frame_index(i, len(self)), positions, single, checked

    def _checked(self, pixels: Num[np.ndarray, "M 2"]) -> Float64[np.ndarray, "M 2"]:
        """Pixels as float64, all inside the frame (its right and lower borders included)."""
        pixels = np.asarray(pixels, np.float64)
        if pixels.ndim != 2 or pixels.shape[1] != 2:
            raise InputError(f"pixels have shape {pixels.shape}; expected [M,2] (x, y)")
        outside = ~((pixels >= 0) & (pixels <= self.size)).all(axis=1)
        if outside.any():
            x, y = pixels[outside.argmax()]
            raise InputError(
                f"pixel ({x:g}, {y:g}) is outside the frame of {self.size[0]}x{self.size[1]}"
            )
        return pixels

    def _base(
        self, i: int, pixels: Float64[np.ndarray, "M 2"] | None
    ) -> Float32[np.ndarray, "*shape 3"]:
        """P_i at its own time, computed in float64."""
        width, height = self.size
        if pixels is None:
            uv = pixel_grid(height, width, dtype=torch.float64).reshape(-1, 2)
            depth = self.depth[i].reshape(-1)
        else:
            uv, depth = torch.from_numpy(pixels), look_up(self.depth[i], pixels)
        points = unproject(
            uv,
            torch.from_numpy(depth.astype(np.float64)),
            torch.from_numpy(np.array(self.cameras.intrinsics[i])),
            torch.from_numpy(np.array(self.cameras.world_from_camera[i])),
        )
        shape = (height, width, 3) if pixels is None else (len(pixels), 3)
        return points.to(torch.float32).numpy().reshape(shape)

    def _seen_in(
        self, j: int | np.integer, points: Float[np.ndarray, "*shape 3"]
    ) -> tuple[Float[np.ndarray, "*shape 2"], Bool[np.ndarray, "*shape"]]:
        """Where frame j's camera has the world points, and whether it sees them there."""
        uv, z = project_to(
            points.reshape(-1, 3), self.cameras.intrinsics[j], self.cameras.camera_from_world[j]
        )
        shape = points.shape[:-1]
        return uv.reshape(*shape, 2), depth_test(uv, z, self.depth[j]).reshape(shape)

    def _view(self, i: int) -> View:
        i = frame_index(i, len(self), "camera")
        return View(self.cameras.intrinsics[i], self.cameras.world_from_camera[i], self.size)

    def _patch_size(self, cloud: PointCloud) -> Float32[np.ndarray, " P"]:
        """Side of the surface patch each point stands for: a pixel's, larger if few were drawn."""
        source = cloud.source_frame
        distance = np.linalg.norm(
            cloud.xyz - self.cameras.world_from_camera[source, :3, 3], axis=-1
        )
        drawn = np.bincount(source, minlength=len(self))
        sparser = np.sqrt(self.size[0] * self.size[1] / np.maximum(drawn, 1))
        patch = distance / self.cameras.intrinsics[source, 0, 0] * sparser[source]
        return patch.astype(np.float32)


def load_scene(path: str | Path) -> Scene:
    """The scene saved at `path`, memory-mapped: arrays are read when they are used.

    The .npz that a scene was exported to will do as well, and is read whole.

    Raises InputError when there is no scene or a newer Worldline wrote it, StorageError when its
    files are damaged.
    """
    if Path(path).suffix == ".npz":
        return importlib.import_module("worldline.io.exports.npz").read_npz(path)
    return Scene(**read_scene_files(path))


def _check_parts(scene: Scene) -> None:
    """InputError unless the parts have the shapes that a scene's parts have."""
    shape, dtype = scene.frames.shape, scene.frames.dtype
    if len(shape) != 4 or shape[3] != 3 or dtype != np.uint8 or 0 in shape:
        raise InputError(f"frames are {dtype} {shape}; expected uint8 [N,H,W,3]")
    for name in ("depth", "confidence", "dynamic"):
        if (got := getattr(scene, name).shape) != shape[:3]:
            raise InputError(f"{name} has shape {got}; expected {shape[:3]}, one per frame pixel")
    if len(scene.cameras) != shape[0]:
        raise InputError(f"there are {len(scene.cameras)} cameras for {shape[0]} frames")
    times = scene.times
    if times.shape != shape[:1] or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise InputError(f"times must be {shape[0]} strictly increasing seconds")
    if len(scene.original_size) != 2 or min(scene.original_size) < 1:
        raise InputError(f"original_size is {scene.original_size}; expected (width, height)")
