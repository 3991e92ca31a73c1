"""Pictures of the user's own as textures."""

import numpy as np
import pytest
import torch
from PIL import Image

from worldline.errors import InputError
from worldline.synth.shading import srgb
from worldline.synth.textures import from_folder


def test_pictures_become_square_linear_textures_in_order_of_their_names(tmp_path):
    wide = np.full((20, 60, 3), (200, 100, 50), np.uint8)
    wide[:, :20] = wide[:, 40:] = 0  # cropped away
    Image.fromarray(wide).save(tmp_path / "b2.png")
    Image.fromarray(np.full((70, 70), 128, np.uint8)).save(tmp_path / "b10.jpg")
    (tmp_path / "notes.txt").write_text("no picture")
    bank = from_folder(tmp_path, 16)
    assert len(bank) == 2 and bank.size == 16
    middle, sharp = torch.full((2, 1), 0.5), torch.full((1,), 1 / 16)
    first, second = (srgb(bank.sample(torch.tensor([i]), middle, sharp)[:, 0]) for i in (0, 1))
    assert torch.allclose(255 * first, torch.tensor([200.0, 100.0, 50.0]), atol=0.5)
    assert torch.allclose(255 * second, torch.tensor(128.0), atol=2)
    whole = bank.sample(torch.tensor([0]), middle, torch.ones(1))
    assert torch.allclose(srgb(whole[:, 0]), first, atol=1e-3)  # no black at the sides


def test_folders_that_hold_no_textures_are_said(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        from_folder(tmp_path / "none", 16)
    with pytest.raises(InputError, match="no picture"):
        from_folder(tmp_path, 16)
    with pytest.raises(InputError, match="power of two"):
        from_folder(tmp_path, 24)
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"broken\.png"):
        from_folder(tmp_path, 16)
