"""What the readers share: pairing by time, choosing frames, pictures, and telling what lacks."""

import numpy as np
import pytest
from PIL import Image

from worldline.datasets import cameras, frames, pictures
from worldline.datasets.registry import DATASETS, dataset
from worldline.errors import InputError


def test_association_takes_the_closest_pairs_first_and_each_once():
    a, b = np.array([0.0, 0.01, 1.0, 2.0]), np.array([0.011, 0.995, 2.5])
    # 0.0 and 0.01 both want 0.011; the closer one gets it
    assert cameras.associated(a, b, 0.02).tolist() == [-1, 0, 1, -1]
    assert cameras.associated(a, b[::-1].copy(), 0.02).tolist() == [-1, 2, 1, -1]
    assert cameras.associated(np.zeros(0), b, 0.02).tolist() == []
    assert cameras.associated(a, np.zeros(0), 0.02).tolist() == [-1] * 4
    assert cameras.associated(np.array([0.0]), np.array([0.5]), 0.5).tolist() == [
        -1
    ]  # strictly less


def test_association_agrees_with_trying_all_pairs():
    rng = np.random.default_rng(3)
    a, b = np.sort(rng.uniform(0, 3, 60)), np.sort(rng.uniform(0, 3, 80))
    pairs = sorted((abs(x - y), i, j) for i, x in enumerate(a) for j, y in enumerate(b))
    expected, taken = np.full(60, -1), set()
    for gap, i, j in pairs:
        if gap < 0.05 and expected[i] < 0 and j not in taken:
            expected[i] = j
            taken.add(j)
    assert (cameras.associated(a, b, 0.05) == expected).all()


def test_frames_are_chosen_by_index_or_slice_and_never_silently_none():
    assert frames.indices(5, None, "c").tolist() == [0, 1, 2, 3, 4]
    assert frames.indices(5, slice(0, 270, 3), "c").tolist() == [0, 3]
    assert frames.indices(5, [4, 0], "c").tolist() == [4, 0]
    for wrong in ([5], [-1], [], slice(7, 9)):
        with pytest.raises(InputError, match="frames 0 to 4"):
            frames.indices(5, wrong, "c")
    with pytest.raises(InputError, match="frame 7 was asked for"):
        frames.indices(5, [1, 7], "c")
    with pytest.raises(InputError, match="has no frames"):
        frames.indices(0, None, "c")


def test_pictures_are_the_pixels_that_are_stored(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (4, 6, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side, which no camera of a dataset knows of
    Image.fromarray(colours).save(tmp_path / "0.png", exif=exif)
    assert (pictures.images([tmp_path / "0.png"])[0] == colours[..., :3]).all()
    stored = [(tmp_path / "0.png").read_bytes()]
    assert (pictures.decoded_frames(stored, "c")[0] == colours[..., :3]).all()


def test_pictures_that_are_wrong_are_named(tmp_path):
    files = [tmp_path / f"{k}.png" for k in range(2)]
    for k, file in enumerate(files):
        Image.new("RGB", (4 + k, 4)).save(file)
    with pytest.raises(InputError, match=r"1\.png: is 5x4, but 0\.png is 4x4; replace it"):
        pictures.images(files)
    for content, told in ((b"", "is empty"), (b"GIF", "cannot be read as a picture")):
        files[1].write_bytes(content)
        with pytest.raises(InputError, match=rf"1\.png: {told}"):
            pictures.images(files)
        with pytest.raises(InputError, match="frame 0 is no JPEG or PNG"):
            pictures.decoded_frames([content], "c")


def test_depth_that_is_known_keeps_its_precision():
    for kind in (np.float32, np.float64):
        depth = pictures.known(np.array([1.5, 0, -1, np.inf, np.nan], kind))
        assert depth.dtype == kind and depth[0] == 1.5 and np.isnan(depth[1:]).all()


def test_inverse_poses_keep_what_is_unknown():
    pose = np.eye(4)
    pose[:3] = [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3]]
    back = cameras.inverse(np.stack([pose, np.full((4, 4), np.nan)]))
    assert np.allclose(back[0], np.linalg.inv(pose)) and np.isnan(back[1]).all()


def test_numbers_in_text_that_are_none_are_one_clear_line(tmp_path):
    file = tmp_path / "groundtruth.txt"
    for text in ("1 2 3\n", "# nothing\n", "1 2 3 4 5 6 7 x\n", "1 0 0 0 0 0 0 0\n"):
        file.write_text(text)
        with pytest.raises(InputError, match=r"groundtruth\.txt: cannot be read as a TUM"):
            cameras.stamped_poses(file)
    with pytest.raises(InputError, match="is missing"):
        cameras.stamped_poses(tmp_path / "none.txt")


def test_every_dataset_that_is_there_offers_what_a_dataset_does():
    there = []
    for name, title in DATASETS.items():
        try:
            module = dataset(name)
        except InputError as error:
            assert "no reader" in str(error)
            continue
        there.append(name)
        assert all(callable(getattr(module, what)) for what in ("names", "read", "problems"))
        assert title and module.__doc__
    assert {"sintel", "tum_dynamics", "bonn", "davis", "tapvid", "worldtrack", "folder"} <= {*there}


def test_unknown_datasets_are_named_with_those_that_are_known():
    with pytest.raises(InputError, match="choose from sintel, tum_dynamics"):
        dataset("imagenet")
