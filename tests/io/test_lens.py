"""Intrinsics mean the same point at every size, and undistorting makes bent lines straight."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from media import numbered_frame, numbered_video
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from worldline.errors import InputError
from worldline.io import read_clip
from worldline.io.lens import focal_of_exif, focal_of_metadata

GIVEN = (300.0, 310.0, 180.0, 130.0)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(numbered_frame(0, 384, 256)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def with_exif(path: Path, tags: dict[int, object], size: tuple[int, int] = (96, 64)) -> Path:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update(tags)
    Image.fromarray(numbered_frame(0, *size)).save(path, exif=exif)
    return path


def test_a_point_projects_to_the_same_place_at_every_size(picture: Path):
    """Sides that do not divide: each axis has its own factor."""
    point = np.array([0.2, -0.1, 1.5])
    at_original = np.array(GIVEN[:2]) * point[:2] / point[2] + GIVEN[2:]
    for size in (None, 384, 129, 67):
        clip = read_clip(picture, size=size, intrinsics=GIVEN)
        height, width = clip.frames.shape[1:3]
        assert clip.intrinsics is not None
        x, y, z = clip.intrinsics @ point
        expected = at_original * [width / 384, height / 256]
        np.testing.assert_allclose([x / z, y / z], expected, rtol=1e-12)
        assert clip.intrinsics_source == "given"
        assert clip.distortion is None


def test_the_centre_of_a_thing_stays_on_its_projection_after_resizing(tmp_path: Path):
    """Pixel centres at +0.5: a white block's centroid moves by the plain factor alone."""
    image = np.zeros((256, 384, 3), np.uint8)
    image[100:116, 40:56] = 255
    Image.fromarray(image).save(tmp_path / "block.png")
    frame = read_clip(tmp_path / "block.png", size=130).frames[0, ..., 0].astype(float)
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]] + 0.5
    centre = np.array([(frame * x).sum(), (frame * y).sum()]) / frame.sum()
    size = np.array([frame.shape[1] / 384, frame.shape[0] / 256])
    np.testing.assert_allclose(centre, np.array([48, 108]) * size, atol=0.05)  # 8-bit edges


def test_focal_alone_puts_the_principal_point_in_the_middle(picture: Path):
    clip = read_clip(picture, focal=400.0, size=192)
    assert clip.intrinsics is not None
    np.testing.assert_allclose(clip.intrinsics, [[200, 0, 96], [0, 200, 64], [0, 0, 1]])


def test_intrinsics_files_mean_the_same_as_numbers(picture: Path, tmp_path: Path):
    fx, fy, cx, cy = GIVEN
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    names = dict(zip(("fx", "fy", "cx", "cy"), GIVEN, strict=True))
    (tmp_path / "a.json").write_text(json.dumps(names))
    np.savez(tmp_path / "b.npz", K=K)
    np.savez(tmp_path / "c.npz", K=np.stack([K, K]), dist=np.zeros(5))
    centred = {**names, "cx": cx - 0.5, "cy": cy - 0.5, "pixel_center": 0.0}
    (tmp_path / "d.json").write_text(json.dumps(centred))
    K_centred = K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
    np.savez(tmp_path / "e.npz", K=K_centred, pixel_center=0.0)
    for name in ("a.json", "b.npz", "c.npz", "d.json", "e.npz"):
        clip = read_clip(picture, intrinsics=tmp_path / name)
        assert clip.intrinsics is not None
        np.testing.assert_allclose(clip.intrinsics, K, rtol=1e-12)
        assert clip.distortion is None


def test_intrinsics_that_cannot_be_are_refused_in_words(picture: Path, tmp_path: Path):
    K = np.array([[300.0, 0, 180], [0, 300, 130], [0, 0, 1]])
    np.savez(tmp_path / "moving.npz", K=np.stack([K, K * [[1.1], [1.1], [1]]]))
    np.savez(tmp_path / "nameless.npz", camera=K)
    np.savez(tmp_path / "skewed.npz", K=K + np.eye(3)[[1, 2, 0]] * [[9], [0], [0]])
    np.savez(tmp_path / "lens.npz", K=K, dist=np.zeros(8))
    np.savez(tmp_path / "centre.npz", K=K, pixel_center=1.0)
    (tmp_path / "short.json").write_text('{"fx": 300}')
    (tmp_path / "typo.json").write_text('{"fx": 3, "fy": 3, "cx": 1, "cy": 1, "k7": 0}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "text.json").write_text('{"fx": "x", "fy": 3, "cx": 1, "cy": 1}')
    (tmp_path / "not.npz").write_bytes(b"PK nothing")
    for given, words in {
        (300.0, 300.0): "has 2 numbers",
        (300.0, -1.0, 180.0, 130.0): "must be positive",
        (300.0, 300.0, math.inf, 130.0): "must be finite",
        (300.0, 300.0, 960.0, 540.0): r"\(960, 540\) lies outside of the 384x256 picture",
        "moving.npz": "per-frame intrinsics are not supported",
        "nameless.npz": "has no K",
        "skewed.npz": "K must be",
        "lens.npz": "dist has 8 numbers",
        "centre.npz": r"pixel_center is 1\.0",
        "short.json": "give {",
        "typo.json": "k7 is not known",
        "broken.json": "cannot be read as intrinsics",
        "text.json": "cannot be read as intrinsics",
        "not.npz": "cannot be read as intrinsics",
        "absent.json": "no such file",
        "K.txt": "as a .json or an .npz file",
    }.items():
        with pytest.raises(InputError, match=words):
            read_clip(picture, intrinsics=tmp_path / given if isinstance(given, str) else given)
    for focal, words in {0.0: "must be positive", math.nan: "must be finite"}.items():
        with pytest.raises(InputError, match=words):
            read_clip(picture, focal=focal)
    with pytest.raises(InputError, match="both given"):
        read_clip(picture, focal=300.0, intrinsics=GIVEN)


@pytest.mark.parametrize("size", [None, 240])
def test_undistorting_puts_known_points_where_a_pinhole_sees_them(tmp_path: Path, size: int | None):
    """Dots are painted where cv2.projectPoints sees them through the lens."""
    distortion = (-0.25, 0.08, 0.002, -0.003, 0.01)
    given = (400.0, 410.0, 250.3, 165.8)
    world = np.array([[x, y, 1.0] for x in (-0.45, -0.1, 0.4) for y in (-0.3, 0.05, 0.3)])
    K_opencv = np.array([[400, 0, 250.3 - 0.5], [0, 410, 165.8 - 0.5], [0, 0, 1]])
    seen, _ = cv2.projectPoints(world, np.zeros(3), np.zeros(3), K_opencv, np.array(distortion))
    y, x = np.mgrid[:320, :480]
    dots = sum(np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 3.0**2)) for u, v in seen[:, 0])
    image = np.repeat((255 * np.clip(dots, 0, 1)).astype(np.uint8)[..., None], 3, 2)
    Image.fromarray(image).save(tmp_path / "dots.png")

    clip = read_clip(tmp_path / "dots.png", size=size, intrinsics=(*given, *distortion))
    assert clip.distortion == distortion
    assert clip.intrinsics is not None
    frame = clip.frames[0, ..., 0].astype(float)
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]] + 0.5
    for point in world:
        u, v, _ = clip.intrinsics @ point
        near = frame * ((x - u) ** 2 + (y - v) ** 2 < 9**2)
        found = np.array([(near * x).sum(), (near * y).sum()]) / near.sum()
        np.testing.assert_allclose(found, [u, v], atol=0.12)


def test_undistorting_says_what_was_not_seen_and_paints_no_border(tmp_path: Path):
    Image.fromarray(np.full((256, 384, 3), 200, np.uint8)).save(tmp_path / "flat.png")
    pincushion = (300.0, 300.0, 192.0, 128.0, 0.3, 0.0, 0.0, 0.0)
    clip = read_clip(tmp_path / "flat.png", intrinsics=pincushion)
    assert clip.frames.min() == 200
    assert "was not seen and repeats the edge" in clip.notes[0]
    assert clip.distortion == (0.3, 0.0, 0.0, 0.0, 0.0)


def test_35mm_equivalent_is_read_along_the_diagonal(tmp_path: Path):
    """At 3:2 all definitions agree: 36 mm over the width."""
    clip = read_clip(with_exif(tmp_path / "shot.jpg", {0xA405: 24}), size=48)
    assert clip.intrinsics_source == "metadata"
    assert clip.intrinsics is not None
    np.testing.assert_allclose(clip.intrinsics[0, 0], 24 / 36 * 48)
    np.testing.assert_allclose(clip.intrinsics[:2, 2], [24, 16])
    diagonal = math.hypot(400, 300)
    assert focal_of_exif({0xA405: 26}, (400, 300)) == pytest.approx(26 * diagonal / 43.2666)


def test_focal_plane_resolution_serves_where_no_equivalent_is_given():
    tags = {0x920A: IFDRational(50), 0xA20E: IFDRational(5000), 0xA210: 3, 0xA002: 4000}
    assert focal_of_exif(tags, (4000, 3000)) == pytest.approx(25000)  # 5000 per cm, 50 mm
    assert focal_of_exif(tags, (1000, 750)) == pytest.approx(6250)  # resized since
    assert focal_of_exif({0x920A: IFDRational(50, 0), 0xA20E: 5000}, (4000, 3000)) is None
    assert focal_of_exif({0xA405: 1}, (4000, 3000)) is None  # a 170 degree lens: a wrong tag


def test_images_share_a_focal_length_only_if_they_agree(tmp_path: Path):
    (tmp_path / "shots").mkdir()
    for index, focal in enumerate((24, 24, 70)):
        with_exif(tmp_path / "shots" / f"{index}.jpg", {0xA405: focal})
    zoomed = read_clip(tmp_path / "shots")
    assert zoomed.intrinsics is None
    assert zoomed.intrinsics_source == "unknown"
    assert "focal lengths differ" in zoomed.notes[0]
    assert read_clip(tmp_path / "shots", max_frames=2).intrinsics_source == "metadata"
    assert read_clip(tmp_path / "shots", focal=80.0).intrinsics_source == "given"


def test_a_phones_video_tells_its_focal_length(tmp_path: Path):
    import av

    key = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
    path = tmp_path / "phone.mov"
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata[key] = "26"
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered_frame(0, 96, 64))))
        container.mux(stream.encode(None))
    clip = read_clip(path)
    assert clip.intrinsics_source == "metadata"
    assert clip.intrinsics is not None
    assert clip.intrinsics[0, 0] == pytest.approx(26 / 36 * 96)
    assert focal_of_metadata({key: "unknown"}, (96, 64)) is None


def test_without_any_word_the_intrinsics_are_unknown(tmp_path: Path):
    clip = read_clip(numbered_video(tmp_path / "v.mp4", 1))
    assert clip.intrinsics is None
    assert clip.intrinsics_source == "unknown"
