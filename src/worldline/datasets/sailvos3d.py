"""SAIL-VOS 3D: story scenes of a game, cut into shots, with depth, cameras, masks and meshes.

Format: as github.com/facebookresearch/map-anything (``data_processing``, its ``sailvos3d``) and
github.com/nianticlabs/mvsanywhere (``datasets/sailvos3d.py``) read it. A sequence is a folder with
``images/ID.bmp``, ``depth/ID.npy``, ``camera/ID.yaml`` (``K`` and ``Rt``), ``rage_matrices/ID.npz``
(``P_inv``) and, where it was got, ``visible/ID.npy``, the object of each pixel (0: none).

``depth / 6 - 4e-5`` is the renderer's own depth; with ``P_inv``, for row vectors, it becomes metres
along -z, and z-depth of that; the renderer's 0 is the sky, and unknown. ``Rt`` takes the world to
OpenGL's camera axes, which become OpenCV's. The principal point of ``K`` counts from the middle of
the picture: half the size is added, in pixels whose top-left centre is (0.5, 0.5).

A sequence is edited like a film. ``shots`` finds the cuts where depth jumps, as the training data
of Complet4R is made (its section on data), and ``SEQUENCE:2`` is the third shot. ``mesh_tracks``
turns meshes into tracks of pixels as described there: a pixel keeps its barycentric coordinates in
its triangle, and vertices are the same from frame to frame.
The data's licence: for non-commercial research by those who own the game.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from worldline.datasets.cameras import OPENGL
from worldline.datasets.clip import Clip, PointTracks
from worldline.datasets.files import array_of, marked_clips, missing, problems_in, reading
from worldline.datasets.frames import Frames, indices, moves_by_distance
from worldline.datasets.pictures import images, known, same_sizes
from worldline.datasets.unpickling import arrays, required
from worldline.errors import InputError

JUMP = 0.3  # median |log| of a pixel's depth from frame to frame: what is more is a cut
NEAR = 0.02  # of its depth: how far a mesh may lie from the depth map and be what is seen
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_KEY = re.compile(r"^(\w+):", re.MULTILINE)


def names(root: Path) -> list[str]:
    """The sequences under ``root``; InputError where there is none."""
    return list(_clips(root))


def read(root: Path, name: str, frames: Frames = None) -> Clip:
    """A sequence, or a shot of it (``SEQUENCE:2``), in metres.

    Frames are those that have a camera and a picture. Raises InputError for a file that is missing
    or broken.
    """
    sequence, _, number = name.rpartition(":")
    ids = _ids(root / (sequence or name))
    if sequence:
        every = shots(root, sequence)
        if not number.isdecimal() or int(number) >= len(every):
            raise InputError(f"{name}: there is no such shot; {sequence} has {len(every)}.")
        ids = [ids[row] for row in every[int(number)]]
    folder = root / (sequence or name)
    ids = [ids[row] for row in indices(len(ids), frames, name)]
    pictures = images([folder / "images" / f"{one}.bmp" for one in ids])
    cameras = [_camera(folder / "camera" / f"{one}.yaml", pictures.shape[1:3]) for one in ids]
    depths = [folder / "depth" / f"{one}.npy" for one in ids]
    masks = [folder / "visible" / f"{one}.npy" for one in ids]
    seen = all(path.is_file() for path in masks)
    objects = same_sizes([array_of(path) for path in masks], masks) if seen else None
    return Clip(
        name,
        pictures,
        tuple(ids),
        metric=True,
        world_from_camera=np.stack([pose for pose, _ in cameras]),
        intrinsics=np.stack([K for _, K in cameras]),
        depth=same_sizes([_depth(folder, one) for one in ids], depths),
        instance=None if objects is None else np.where(objects > 0, objects, -1).astype(int),
    )


def shots(root: Path, name: str) -> list[range]:
    """The frames of each shot of a sequence: cuts are where most pixels' depth jumps."""
    ids = _ids(root / name)
    indices(len(ids), None, name)
    starts, before = [0], _depth(root / name, ids[0])
    for row, one in enumerate(ids[1:], start=1):
        after = _depth(root / name, one)
        way = (
            np.abs(np.log(after) - np.log(before)) if after.shape == before.shape else np.array([])
        )
        way = way[np.isfinite(way)]
        if not len(way) or np.median(way) > JUMP:
            starts.append(row)
        before = after
    return [range(*ends) for ends in zip(starts, [*starts[1:], len(ids)], strict=True)]


def problems(root: Path) -> list[str]:
    """Files of frames that are missing or empty; a frame is what has a camera."""
    return problems_in(root, _clips, _lacking)


def _lacking(folder: Path) -> list[str]:
    wanted = []
    for path in sorted((folder / "camera").glob("*.yaml")):
        wanted += [path, folder / "images" / f"{path.stem}.bmp"]
        wanted += [folder / "depth" / f"{path.stem}.npy"]
        wanted += [folder / "rage_matrices" / f"{path.stem}.npz"]
    return missing(wanted)


def _clips(root: Path) -> dict[str, Path]:
    return marked_clips(root, "camera", 2, "SAIL-VOS 3D")


def mesh(path: Path) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Vertices and triangles of a Wavefront OBJ; polygons become fans."""
    vertices, faces = [], []
    with reading(path, "a Wavefront OBJ"), path.open(encoding="utf-8") as file:
        for line in file:
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append([float(one) for one in rest.split()[:3]])
            elif kind == "f":
                at = [int(corner.split("/")[0]) for corner in rest.split()]
                at = [one - 1 if one > 0 else len(vertices) + one for one in at]
                faces += [[at[0], *pair] for pair in pairwise(at[1:])]
        found = np.array(vertices, float).reshape(-1, 3), np.array(faces, int).reshape(-1, 3)
        if found[1].size and not 0 <= found[1].min() <= found[1].max() < len(vertices):
            raise ValueError("its triangles name vertices that it does not have")
    return found


def mesh_tracks(
    clip: Clip, meshes: Sequence[Path | None], query: int, step: int = 4
) -> PointTracks:
    """Tracks of the pixels of frame ``query`` that show an object, by its mesh in each frame.

    ``meshes`` are an OBJ for each frame of the clip, in its world, None where the object is not
    there; ``step`` is how many pixels lie from one that is asked for to the next. ``dynamic`` is of
    the frames given. How meshes are named in the dataset's own archive is not documented, so the
    caller tells. Raises InputError unless the vertices are the same in all frames.
    """
    if clip.depth is None or clip.intrinsics is None or clip.world_from_camera is None:
        raise InputError(f"{clip.name}: tracks of meshes need depth and cameras.")
    if len(meshes) != len(clip) or not 0 <= query < len(clip) or meshes[query] is None:
        raise InputError(f"{clip.name}: give a mesh or None for each frame, and one for the query.")
    read_meshes = [None if path is None else mesh(path) for path in meshes]
    asked = read_meshes[query]
    assert asked is not None
    vertices = np.full((len(clip), *asked[0].shape), np.nan)
    for row, one in enumerate(read_meshes):
        if one is None:
            continue
        if one[0].shape != asked[0].shape or not np.array_equal(one[1], asked[1]):
            raise InputError(
                f"{meshes[row]}: has other vertices or triangles than {meshes[query]}."
            )
        vertices[row] = one[0]
    K, poses, size = clip.intrinsics, clip.world_from_camera, clip.depth.shape[1:]
    local = (vertices - poses[:, None, :3, 3]) @ poses[:, :3, :3]
    face, place, z = rasterised(local[query], asked[1], K[query], (size[0], size[1]))
    shown = (face >= 0) & (np.abs(z - clip.depth[query]) < NEAR * clip.depth[query])
    grid = np.zeros(size, bool)
    grid[::step, ::step] = True
    face, place = face[shown & grid], place[shown & grid]
    xyz = np.einsum("mc,nmcd->mnd", place, vertices[:, asked[1][face]])
    seen = np.einsum("nji,mnj->mni", poses[:, :3, :3], xyz - poses[:, :3, 3])
    front = seen[..., 2] > 0
    safe = np.where(front[..., None], seen, np.nan)
    uv = np.einsum("nij,mnj->mni", K, safe / safe[..., 2:])[..., :2]
    visible = np.asarray(front & _at_the_surface(uv, seen[..., 2], clip.depth))
    return PointTracks(visible, uv, xyz, moves_by_distance(xyz), np.full(len(xyz), query))


def rasterised(
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    K: Float[np.ndarray, "3 3"],
    size: tuple[int, int],
) -> tuple[Int[np.ndarray, "H W"], Float[np.ndarray, "H W 3"], Float[np.ndarray, "H W"]]:
    """The nearest triangle in each pixel's centre: its number, where in it, and its z.

    ``vertices`` are in the camera's axes; ``size`` is (height, width). Barycentric coordinates are
    those in space, not in the picture. Where there is none the number is -1, the rest NaN.
    Triangles that reach behind the camera are left out.
    """
    height, width = size
    number = np.full(height * width, -1)
    place, depth = np.full((height * width, 3), np.nan), np.full(height * width, np.nan)
    z = vertices[faces][..., 2]
    kept = np.flatnonzero((z > 1e-6).all(axis=1))
    uv = (vertices[faces[kept]] / z[kept, :, None]) @ K.T[:, :2]
    # every pixel whose centre may lie in the triangle's bounds, triangle by triangle
    low = np.clip(np.ceil(uv.min(axis=1) - 0.5), 0, [width, height]).astype(int)
    high = np.clip(np.floor(uv.max(axis=1) - 0.5), -1, [width - 1, height - 1]).astype(int)
    extent = np.maximum(high - low + 1, 0)
    counts = extent.prod(axis=1)
    owner = np.repeat(np.arange(len(kept)), counts)
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    x = low[owner, 0] + offset % np.maximum(extent[owner, 0], 1)
    y = low[owner, 1] + offset // np.maximum(extent[owner, 0], 1)
    corners = uv[owner] - np.stack([x, y], axis=-1)[:, None] - 0.5
    ahead, after = np.roll(corners, -1, axis=1), np.roll(corners, -2, axis=1)
    areas = ahead[..., 0] * after[..., 1] - ahead[..., 1] * after[..., 0]
    whole = areas.sum(axis=1, keepdims=True)
    share = np.divide(areas, whole, out=np.full_like(areas, -1.0), where=np.abs(whole) > 1e-12)
    weight = share / z[kept][owner]
    inside = (share >= 0).all(axis=1)
    owner, pixel, weight = owner[inside], (y * width + x)[inside], weight[inside]
    distance = 1 / weight.sum(axis=1)
    order = np.lexsort((distance, pixel))
    pixel, first = np.unique(pixel[order], return_index=True)
    nearest = order[first]
    number[pixel] = kept[owner[nearest]]
    place[pixel] = weight[nearest] * distance[nearest, None]
    depth[pixel] = distance[nearest]
    return number.reshape(size), place.reshape(*size, 3), depth.reshape(size)


def _at_the_surface(
    uv: Float[np.ndarray, "M N 2"],
    z: Float[np.ndarray, "M N"],
    depth: Float[np.ndarray, "N H W"],
) -> Bool[np.ndarray, "M N"]:
    """Whether points are in the picture and no farther than what is seen there."""
    height, width = depth.shape[1:]
    inside = np.asarray(((uv >= 0) & (uv < [width, height])).all(axis=-1))
    x, y = np.floor(np.where(inside[..., None], uv, 0.0)).astype(int).transpose(2, 0, 1)
    there = depth[np.arange(len(depth)), y, x]
    return inside & (z <= there * (1 + NEAR))


def _ids(folder: Path) -> list[str]:
    pictures = {path.stem for path in (folder / "images").glob("*.bmp")}
    return sorted({path.stem for path in (folder / "camera").glob("*.yaml")} & pictures)


def _camera(path: Path, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    numbers = _numbers_of(path)
    with reading(path, "SAIL-VOS 3D's camera"):
        K = np.array(numbers["K"]).reshape(3, 3)
        camera_from_world = np.eye(4)
        camera_from_world[:3] = np.array(numbers["Rt"]).reshape(3, 4)
        pose = np.linalg.inv(camera_from_world) @ OPENGL
    K[0, 2] += size[1] / 2
    K[1, 2] += size[0] / 2
    return pose, K


def _numbers_of(path: Path) -> dict[str, list[float]]:
    """The numbers under each key: all that these files need of YAML, in either of its styles."""
    with reading(path, "SAIL-VOS 3D's camera"):
        text = path.read_text(encoding="utf-8")
    keys = list(_KEY.finditer(text))
    ends = [key.start() for key in keys[1:]] + [len(text)]
    return {
        key[1]: [float(one) for one in _NUMBER.findall(text[key.end() : end])]
        for key, end in zip(keys, ends, strict=True)
    }


def _depth(folder: Path, one: str) -> Float[np.ndarray, "H W"]:
    stored = array_of(folder / "depth" / f"{one}.npy").astype(float)
    path = folder / "rage_matrices" / f"{one}.npz"
    content = arrays(path, ("P_inv",))
    required(content, ("P_inv",), path)
    with reading(path, "SAIL-VOS 3D's matrices"):
        inverse = content["P_inv"].astype(float).reshape(4, 4)
    with reading(folder / "depth" / f"{one}.npy", "SAIL-VOS 3D's depth"):
        height, width = stored.shape
        z = stored / 6 - 4e-5
        y, x = np.mgrid[:height, :width] + 0.5
        screen = np.stack([2 * x / width - 1, 1 - 2 * y / height, z, np.ones_like(z)], axis=-1)
        local = screen @ inverse
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = -local[..., 2] / local[..., 3]
    return known(np.where(z > 1e-9, depth, np.nan))
