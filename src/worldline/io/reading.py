"""`read_clip`: finds out what a source is, reads it, and looks through the lens."""

import glob
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from worldline.errors import InputError
from worldline.io.clip import Clip
from worldline.io.lens import Lens, given_lens, undistort
from worldline.io.priors import Kept, known_cameras, known_maps
from worldline.io.selection import Progress, Reading, Selection
from worldline.io.stills import (
    IMAGE_SUFFIXES,
    LEFT_OUT_SUFFIXES,
    VIDEO_SUFFIXES,
    natural_key,
    read_stills,
)
from worldline.io.video import read_video

HASH_BLOCK = 1 << 20  # bytes


def read_clip(  # noqa: PLR0913 # one name for each choice a user has
    source: str | Path,
    *,
    start: float | None = None,
    end: float | None = None,
    stride: int = 1,
    max_frames: int | None = None,
    size: int | None = 640,
    focal: float | None = None,
    intrinsics: str | Path | Sequence[float] | None = None,
    cameras_from: str | Path | None = None,
    depth_from: str | Path | None = None,
    masks_from: str | Path | None = None,
    progress: Progress | None = None,
) -> Clip:
    """Read a video, a folder of images, a glob such as "shots/*.jpg", or one image.

    Frames come upright, with square pixels, as 8-bit RGB. Videos keep their true time stamps;
    images are taken in natural order (frame2 before frame10) and 1 second apart.

    Args:
        source: the file, folder or glob.
        start: first time to keep, in seconds of the source's own time stamps.
        end: frames at or after this time are left out.
        stride: keep every stride-th frame of the range.
        max_frames: keep at most the first max_frames of those.
        size: longest side of the working frames in pixels; never enlarges; None: as they are.
        focal: focal length in pixels of the upright original; the principal point is its centre.
        intrinsics: (fx, fy, cx, cy[, k1, k2, p1, p2[, k3]]) in pixels of the upright original,
            whose top-left pixel has its centre at (0.5, 0.5), or a .json or .npz file with them
            (`worldline.io.lens.given_lens` says how). Distortion is undone.
        cameras_from, depth_from, masks_from: files or folders of what is known beforehand;
            `worldline.io.priors` says which.
        progress: called with the frames kept so far, and how many it will be where that is known.

    Raises:
        InputError: for all that is wrong with the source or the settings, in a sentence.
    """
    selection = Selection(start, end, stride, max_frames, size)
    lens = given_lens(focal, intrinsics)
    found = _find(source)
    reading = (
        read_video(found.files[0], selection, progress)
        if found.is_video
        else read_stills(found.files, selection, progress)
    )
    known = _known(reading, selection, cameras_from, depth_from, masks_from)
    shared = _shared_intrinsics(known)
    if shared is not None and lens is not None:
        raise InputError("--cameras-from tells the lens, which is also given: give it once.")
    K, distortion, K_source, lens_notes = _look_through(reading, lens)
    if shared is not None:
        K, K_source = shared, "given"
    if distortion is not None and (depth_from or masks_from):
        raise InputError(
            "depth or masks are given for frames with lens distortion: undistort all first."
        )
    return Clip(
        frames=reading.frames,
        times=reading.times,
        source=found.name,
        fingerprint=_fingerprint(found.files),
        original_size=reading.original_size,
        total=reading.total,
        intrinsics=K,
        intrinsics_source=K_source,
        distortion=distortion,
        is_video=found.is_video,
        notes=(*found.notes, *reading.notes, *lens_notes),
        stride=stride,
        **known,
    )


def _known(
    reading: Reading,
    selection: Selection,
    cameras: str | Path | None,
    depth: str | Path | None,
    masks: str | Path | None,
) -> dict[str, np.ndarray]:
    """The clip's fields of what is known beforehand."""
    height, width = reading.frames.shape[1:3]
    kept = Kept(
        reading.times,
        reading.names,
        reading.total,
        selection.stride,
        reading.original_size,
        (width, height),
    )
    known: dict[str, np.ndarray] = {}
    if cameras is not None:
        known["known_poses"], known["known_intrinsics"] = known_cameras(Path(cameras), kept)
    if depth is not None:
        known["known_depth"] = known_maps(Path(depth), kept, "depth")
    if masks is not None:
        known["known_dynamic"] = known_maps(Path(masks), kept, "masks")
    return known


def _shared_intrinsics(known: dict[str, np.ndarray]) -> np.ndarray | None:
    """The first frame's intrinsics, where cameras tell any; unknown ones become its like.

    Intrinsics that are all alike leave `known`: they are the clip's.
    """
    intrinsics = known.get("known_intrinsics")
    if intrinsics is None:
        return None
    there = np.isfinite(intrinsics).all(axis=(1, 2))
    nearest = np.abs(np.flatnonzero(there)[:, None] - np.arange(len(there)))
    if there.any():
        known["known_intrinsics"] = intrinsics[np.flatnonzero(there)[nearest.argmin(axis=0)]]
    if not there.any() or np.ptp(known["known_intrinsics"], axis=0).max() < 1e-9:
        first = known.pop("known_intrinsics")[0]
        return first if there.any() else None
    return known["known_intrinsics"][0]


@dataclass(frozen=True)
class _Found:
    files: list[Path]
    is_video: bool
    name: str
    notes: tuple[str, ...] = ()


def _find(source: str | Path) -> _Found:
    """What a source is: one video, or images in order."""
    path = Path(source).expanduser()
    name = path.name or path.resolve().name
    try:
        if path.is_dir():
            return _images(sorted(path.iterdir(), key=natural_key), f"{name} (a folder)", name)
        if path.exists():
            return _one_file(path)
        # a name with brackets that exists is a name; only then is it a pattern
        if glob.has_magic(str(path)):
            matches = sorted(map(Path, glob.glob(str(path), recursive=True)), key=natural_key)  # noqa: PTH207 # Path.glob takes no absolute pattern
            return _images(matches, f"The pattern {name}", name)
    except PermissionError as error:
        raise InputError(f"{name}: may not be read; change its permissions.") from error
    except (OSError, ValueError) as error:  # too long a name, a null byte
        raise InputError(f"{name}: is no usable file name ({error}).") from error
    if "://" in str(source):
        raise InputError(f"{source}: addresses are not read; download the video first.")
    raise InputError(f"{source}: there is no such file or folder; check the path.")


def _one_file(path: Path) -> _Found:
    if not path.is_file():
        raise InputError(f"{path.name}: is not a regular file; give a video or image file.")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name}: the file is empty; copy or record it again.")
    still = path.suffix.lower() in IMAGE_SUFFIXES and not _is_animated(path)
    return _Found([path], is_video=not still, name=path.name)


def _is_animated(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            # a TIFF's pages or an MPO's views are no animation
            return image.format in {"PNG", "GIF"} and getattr(image, "n_frames", 1) > 1
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False  # reading it says what is wrong


def _images(entries: Sequence[Path], what: str, name: str) -> _Found:
    """The images among a folder's or a pattern's files."""
    # hidden files (macOS writes ._frame.jpg) are no frames
    files = [file for file in entries if not file.name.startswith(".") and file.is_file()]
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    others = [file for file in files if file.suffix.lower() in LEFT_OUT_SUFFIXES]
    if not images and len(videos) == 1:
        raise InputError(
            f"{what} holds one video, {videos[0].name}, and no images: give the video's path."
        )
    if not images and videos:
        raise InputError(
            f"{what} holds {len(videos)} videos and no images: give the path of one of them."
        )
    if not images and others:
        raise InputError(
            f"{what} holds images of a kind that is not read here ({others[0].name}): "
            "convert them to JPEG or PNG."
        )
    if not images:
        raise InputError(
            f"{what} holds no images: give a video, or the folder that itself holds the images."
        )
    left_out = sorted({*videos, *others}, key=natural_key)
    notes = (
        (f"Files left out, as no readable images: {len(left_out)}, {left_out[0].name} first.",)
        if left_out
        else ()
    )
    return _Found(images, is_video=False, name=name, notes=notes)


def _look_through(
    reading: Reading, lens: Lens | None
) -> tuple[
    np.ndarray | None,
    tuple[float, ...] | None,
    Literal["given", "metadata", "unknown"],
    list[str],
]:
    """The working-size camera matrix, the distortion undone (in place), whence, and notes."""
    where: Literal["given", "metadata"] = "given"
    if lens is None and reading.focal is not None:
        lens, where = Lens(reading.focal, reading.focal), "metadata"
    if lens is None:
        return None, None, "unknown", []
    height, width = reading.frames.shape[1:3]
    K = lens.matrix(reading.original_size, (width, height))
    if lens.distortion is None:
        return K, None, where, []
    outside = undistort(reading.frames, K, lens.distortion)
    notes = (
        [f"{outside:.1%} of each undistorted frame was not seen and repeats the edge."]
        if outside >= 0.001
        else []
    )
    return K, lens.distortion, where, notes


def _fingerprint(files: Sequence[Path]) -> str:
    """sha256 of a file's content; of several files, of their names and contents in order."""
    digest = hashlib.sha256()
    for file in files:
        if len(files) > 1:
            # the length keeps names and contents apart
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        try:
            with file.open("rb") as stream:
                while block := stream.read(HASH_BLOCK):
                    digest.update(block)
        except OSError as error:  # one that stride left out, or a disk that fails
            raise InputError(f"{file.name}: cannot be read ({error.strerror}).") from error
    return digest.hexdigest()
