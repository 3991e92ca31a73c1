"""What the readers share: pairing by time, choosing frames, and names for what is not there."""

import numpy as np
import pytest

from worldline.datasets import files
from worldline.datasets.registry import DATASETS, dataset
from worldline.errors import InputError


def test_association_takes_the_closest_pairs_first_and_each_once():
    a, b = np.array([0.0, 0.01, 1.0, 2.0]), np.array([0.011, 0.995, 2.5])
    # 0.0 and 0.01 both want 0.011; the closer one gets it
    assert files.associated(a, b, 0.02).tolist() == [-1, 0, 1, -1]
    assert files.associated(a, b[::-1].copy(), 0.02).tolist() == [-1, 2, 1, -1]
    assert files.associated(np.zeros(0), b, 0.02).tolist() == []
    assert files.associated(a, np.zeros(0), 0.02).tolist() == [-1] * 4
    assert files.associated(np.array([0.0]), np.array([0.5]), 0.5).tolist() == [-1]  # strictly less


def test_association_agrees_with_trying_all_pairs():
    rng = np.random.default_rng(3)
    a, b = np.sort(rng.uniform(0, 3, 60)), np.sort(rng.uniform(0, 3, 80))
    pairs = sorted((abs(x - y), i, j) for i, x in enumerate(a) for j, y in enumerate(b))
    expected, taken = np.full(60, -1), set()
    for gap, i, j in pairs:
        if gap < 0.05 and expected[i] < 0 and j not in taken:
            expected[i] = j
            taken.add(j)
    assert (files.associated(a, b, 0.05) == expected).all()


def test_frames_are_chosen_by_index_or_slice_and_never_silently_none():
    assert files.indices(5, None, "c").tolist() == [0, 1, 2, 3, 4]
    assert files.indices(5, slice(0, 270, 3), "c").tolist() == [0, 3]
    assert files.indices(5, [4, 0], "c").tolist() == [4, 0]
    for wrong in ([5], [-1], [], slice(7, 9)):
        with pytest.raises(InputError, match="frames 0 to 4"):
            files.indices(5, wrong, "c")


def test_inverse_poses_keep_what_is_unknown():
    pose = np.eye(4)
    pose[:3] = [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3]]
    back = files.inverse(np.stack([pose, np.full((4, 4), np.nan)]))
    assert np.allclose(back[0], np.linalg.inv(pose)) and np.isnan(back[1]).all()


def test_numbers_in_text_that_are_none_are_one_clear_line(tmp_path):
    file = tmp_path / "groundtruth.txt"
    for text in ("1 2 3\n", "# nothing\n", "1 2 3 4 5 6 7 x\n", "1 0 0 0 0 0 0 0\n"):
        file.write_text(text)
        with pytest.raises(InputError, match=r"groundtruth\.txt: cannot be read as a TUM"):
            files.stamped_poses(file)
    with pytest.raises(InputError, match="is missing"):
        files.stamped_poses(tmp_path / "none.txt")


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
