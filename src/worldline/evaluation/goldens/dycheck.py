"""Masked PSNR and SSIM as DyCheck computes them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from worldline.evaluation.metrics.images import psnr_as_published, ssim_as_published

TOLERANCE = 1e-5


def numbers(tensors: Mapping[str, np.ndarray], params: Mapping[str, Any], expected: Any) -> Any:
    """mPSNR and mSSIM of ``img0`` and ``img1`` [H, W, 3], in ``mask`` [H, W, 1] if there is one."""
    first, second = tensors["img0"], tensors["img1"]
    mask = tensors["mask"][..., 0] if "mask" in tensors else None
    return {
        "mPSNR": psnr_as_published(first, second, mask),
        "mSSIM": ssim_as_published(first, second, mask),
    }
