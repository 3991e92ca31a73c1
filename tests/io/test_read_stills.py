"""Images come in natural order, upright, as 8-bit RGB of their true brightness."""

from pathlib import Path

import numpy as np
import pytest
from media import number_of, numbered_frame, numbered_video
from PIL import Image

from worldline.errors import InputError
from worldline.io import read_clip, stills
from worldline.io.stills import natural_key


def folder_of(path: Path, count: int = 4, size: tuple[int, int] = (96, 64)) -> Path:
    path.mkdir()
    for index in range(count):
        Image.fromarray(numbered_frame(index, *size)).save(path / f"frame{index}.png")
    return path


def one_image(path: Path, image: Image.Image, **options) -> np.ndarray:
    image.save(path, **options)
    return read_clip(path).frames[0]


def test_frame2_comes_before_frame10(tmp_path: Path):
    clip = read_clip(folder_of(tmp_path / "shots", 12))
    assert [number_of(frame) for frame in clip.frames] == list(range(12))
    np.testing.assert_array_equal(clip.times, np.arange(12.0))
    assert not clip.is_video
    assert clip.source == "shots"
    names = [Path(name) for name in ("b2.png", "a10.png", "a9.png", "B1.png", "a.png", "007.png")]
    ordered = ["007.png", "a9.png", "a10.png", "a.png", "B1.png", "b2.png"]
    assert [path.name for path in sorted(names, key=natural_key)] == ordered


def test_a_pattern_picks_files_and_a_name_with_brackets_is_a_name(tmp_path: Path):
    folder = folder_of(tmp_path / "shots", 12)
    clip = read_clip(str(folder / "frame1*.png"))
    assert [number_of(frame) for frame in clip.frames] == [1, 10, 11]
    assert clip.source == "frame1*.png"
    folder_of(tmp_path / "take [1]", 2)
    assert read_clip(str(tmp_path / "take [1]")).total == 2
    with pytest.raises(InputError, match="holds no images"):
        read_clip(str(folder / "*.jpg"))


def test_stride_and_range_count_a_second_per_image(tmp_path: Path):
    folder = folder_of(tmp_path / "shots", 12)
    clip = read_clip(folder, start=2.0, end=11.0, stride=3, max_frames=2)
    assert [number_of(frame) for frame in clip.frames] == [2, 5]
    assert clip.total == 9
    assert clip.notes == ("--max-frames kept the first 2 of 3 frames.",)
    with pytest.raises(InputError, match="these 12 span 0 to 11 s"):
        read_clip(folder, start=12.0)


def test_one_image_is_a_clip_of_one_frame(tmp_path: Path):
    Image.fromarray(numbered_frame(7, 96, 64)).save(tmp_path / "one.jpg", quality=95)
    clip = read_clip(tmp_path / "one.jpg")
    assert clip.total == 1
    assert number_of(clip.frames[0]) == 7


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path):
    ramp = np.linspace(0, 65535, 96).astype(np.uint16)
    frame = one_image(tmp_path / "deep.png", Image.fromarray(np.tile(ramp, (64, 1))))
    np.testing.assert_allclose(frame[0, :, 0], ramp / 257, atol=0.51)
    assert (frame[..., 0] == frame[..., 2]).all()


@pytest.mark.parametrize("suffix", ["bmp", "jpg", "ppm", "tif", "webp"])
def test_every_common_file_kind_is_read(tmp_path: Path, suffix: str):
    frame = one_image(tmp_path / f"image.{suffix}", Image.fromarray(numbered_frame(5, 96, 64)))
    assert number_of(frame) == 5


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "LA", "YCbCr"])
def test_other_pixel_kinds_keep_their_brightness(tmp_path: Path, mode: str):
    left_dark = np.zeros((64, 96), np.uint8)
    left_dark[:, 48:] = 255
    name = "image.jpg" if mode in ("CMYK", "YCbCr") else "image.png"
    frame = one_image(tmp_path / name, Image.fromarray(left_dark).convert("RGB").convert(mode))
    assert frame[:, :40].max() < 20
    assert frame[:, 56:].min() > 235


def test_alpha_is_composed_over_black_and_said(tmp_path: Path):
    rgba = np.full((64, 96, 4), (200, 100, 50, 255), np.uint8)
    rgba[:, 48:, 3] = 128
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    clip = read_clip(tmp_path / "alpha.png")
    assert clip.frames[0, 0, 0].tolist() == [200, 100, 50]
    np.testing.assert_allclose(clip.frames[0, 0, 95].astype(int), [100, 50, 25], atol=1)
    assert clip.notes == ("Transparent pixels were composed over black.",)
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(tmp_path / "opaque.png")
    assert read_clip(tmp_path / "opaque.png").notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_upright(tmp_path: Path, orientation: int):
    """Pillow's own exif_transpose is the judge."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "phone.png"
    Image.fromarray(numbered_frame(3, 96, 64)).save(path, exif=exif)
    from PIL import ImageOps

    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    clip = read_clip(path)
    assert clip.original_size == (upright.shape[1], upright.shape[0])
    np.testing.assert_array_equal(clip.frames[0], upright)


def test_a_large_jpeg_is_drafted_to_the_same_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The decoder's own shrinking saves memory and must not move or blur the picture."""
    y, x = np.mgrid[:1024, :1536]
    waves = 127 + 100 * np.sin(x / 60) * np.cos(y / 45)
    path = tmp_path / "large.jpg"
    Image.fromarray(np.repeat(waves.astype(np.uint8)[..., None], 3, 2)).save(path, quality=95)
    drafted = read_clip(path, size=96).frames[0].astype(int)
    decoded = []
    monkeypatch.setattr(stills, "_draft", lambda image, working: decoded.append(image.size))
    exact = read_clip(path, size=96).frames[0].astype(int)
    assert decoded == [(1536, 1024)]
    assert np.abs(drafted - exact).max() <= 3


def test_resizing_averages_areas(tmp_path: Path):
    """One-pixel stripes must become grey, not a moiré of kept and skipped lines."""
    stripes = np.zeros((128, 192, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    frame = read_clip(tmp_path / "stripes.png", size=96).frames[0]
    np.testing.assert_allclose(frame.astype(int), 128, atol=1)


def test_images_of_two_sizes_are_refused_by_name(tmp_path: Path):
    folder = folder_of(tmp_path / "shots", 3)
    Image.fromarray(numbered_frame(0, 64, 96)).save(folder / "frame2.png")
    with pytest.raises(InputError, match=r"frame0\.png is 96x64 and frame2\.png is 64x96"):
        read_clip(folder)


def test_a_broken_image_is_named(tmp_path: Path):
    folder = folder_of(tmp_path / "shots", 3)
    whole = (folder / "frame1.png").read_bytes()
    for content, words in {
        b"": r"frame1\.png: is empty",
        b"no picture at all": r"frame1\.png: is damaged, or not an image",
        whole[: len(whole) // 2]: r"frame1\.png: cannot be read",
    }.items():
        (folder / "frame1.png").write_bytes(content)
        with pytest.raises(InputError, match=words):
            read_clip(folder)


def test_a_picture_of_too_many_pixels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.fromarray(numbered_frame(0, 96, 64)).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match=r"bomb\.png: the picture has more than 2,000 pixels"):
        read_clip(tmp_path / "bomb.png")


def test_floating_point_pixels_are_refused_in_words(tmp_path: Path):
    Image.fromarray(np.ones((64, 96), np.float32)).save(tmp_path / "depth.tif")
    with pytest.raises(InputError, match="floating-point"):
        read_clip(tmp_path / "depth.tif")


def test_folders_without_images_say_what_to_give(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(InputError, match="holds no images"):
        read_clip(tmp_path)
    numbered_video(tmp_path / "v.mp4", 2)
    with pytest.raises(InputError, match=r"holds one video, v\.mp4, .*give the video's path"):
        read_clip(tmp_path)
    (tmp_path / "v.mp4").rename(tmp_path / "raw.heic")
    with pytest.raises(InputError, match=r"raw\.heic.*convert them"):
        read_clip(tmp_path)


def test_what_a_folder_holds_beside_its_images_is_said_not_read(tmp_path: Path):
    folder = folder_of(tmp_path / "shots", 2)
    (folder / "._frame0.png").write_bytes(b"what macOS leaves behind")
    (folder / "meta.json").write_text("{}")
    assert read_clip(folder).notes == ()
    (folder / "clip.mov").touch()
    assert "no readable images: 1, clip.mov first" in read_clip(folder).notes[0]


def test_an_animated_png_is_a_video(tmp_path: Path):
    frames = [Image.fromarray(numbered_frame(i, 96, 64)) for i in range(5)]
    path = tmp_path / "moving.png"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    clip = read_clip(path)
    assert clip.is_video
    assert [number_of(frame) for frame in clip.frames] == list(range(5))
    np.testing.assert_allclose(clip.times, np.arange(5) / 10, atol=1e-6)


def test_fingerprint_of_a_folder_follows_names_and_contents(tmp_path: Path):
    folder = folder_of(tmp_path / "shots", 3)
    prints = {read_clip(folder).fingerprint, read_clip(folder, stride=2, size=48).fingerprint}
    assert len(prints) == 1
    (folder / "frame2.png").rename(folder / "frame3.png")
    prints.add(read_clip(folder).fingerprint)
    Image.fromarray(numbered_frame(9, 96, 64)).save(folder / "frame3.png")
    prints.add(read_clip(folder).fingerprint)
    assert len(prints) == 3


def test_real_folders_are_read_whole(real_data: Path):
    clip = read_clip(real_data / "nerf_fox" / "frames", size=160)
    assert clip.kept_line() == "kept 25 of 25 frames, 90x160 of 540x960"
    kitti = read_clip(real_data / "kitti_odom_01_start" / "frames", size=160)
    assert kitti.total == 51
    assert (kitti.frames[..., 0] == kitti.frames[..., 2]).all()  # its pictures are grey
