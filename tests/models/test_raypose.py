"""The published cameras of ray maps against their golden vectors; ours against the truth."""

import torch
from safetensors.torch import load_file

from worldline.geometry.raymap import cameras_from_rays
from worldline.models.golden.__main__ import main


def test_published_cameras_are_reproduced(golden_file):
    assert main([str(golden_file("raypose"))]) == 0


def test_ours_find_the_true_cameras_off_centre_and_among_outliers(golden_file):
    vectors = load_file(golden_file("raypose").with_suffix(".safetensors"))
    for case, error in (("clean", 1e-5), ("offcentre", 1e-5), ("outliers", 1e-3)):
        true = {n: vectors[f"in.{case}.true_{n}"] for n in ("R_c2w", "f", "pp", "t")}
        maps, confidence = vectors[f"in.{case}.ray"], vectors[f"in.{case}.ray_conf"]
        K, pose = cameras_from_rays(maps, confidence, (2, 2))  # half pictures are its pixels
        assert (pose[..., :3, :3] - true["R_c2w"]).abs().max() < error
        assert (K[..., [0, 1], [0, 1]] - true["f"]).abs().max() < 5 * error
        assert (K[..., :2, 2] - 1 - true["pp"]).abs().max() < 5 * error
        assert torch.isfinite(pose).all()
