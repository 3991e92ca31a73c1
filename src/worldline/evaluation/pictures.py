"""What a scene says of pictures: the flow between its frames, and what other cameras would see."""

import cv2
import numpy as np
from jaxtyping import Float, Float32

from worldline.datasets.clip import Clip
from worldline.evaluation.alignment import similarity
from worldline.evaluation.metrics.flow import flow_errors
from worldline.evaluation.metrics.images import psnr, ssim
from worldline.evaluation.metrics.lpips import masked_lpips, users_lpips
from worldline.render.points import View
from worldline.scene import Scene
from worldline.scene.gathering import Gathering
from worldline.scene.visibility import project_to

POINTS = 1_000_000  # at most so many are gathered and drawn for a view
NAN = float("nan")

Numbers = dict[str, float]


def flow(scene: Scene, truth: Clip) -> Numbers:
    """EPE in pixels and Fl-all in percent of the flow to the next frame that a scene implies.

    At the size of the true flow, over all its known pixels of all frames, hidden ones included, as
    benchmarks of flow count. What has no depth is taken to stay where it is in the picture.
    """
    if truth.flow is None:
        return {}
    sums, count = np.zeros(2), 0
    for i, true in enumerate(truth.flow):
        known = np.isfinite(true).all(axis=-1)
        if known.any():
            found = np.nan_to_num(implied_flow(scene, i))
            errors = flow_errors(_resized(found, true.shape[1::-1]), true)
            sums += known.sum() * np.array([errors.epe, errors.fl_all])
            count += int(known.sum())
    epe, outliers = sums / count if count else (NAN, NAN)
    return {"flow_epe": float(epe), "flow_fl": float(outliers)}


def implied_flow(scene: Scene, i: int) -> Float32[np.ndarray, "H W 2"]:
    """Where frame i's points are seen one frame later, less where they are, in pixels.

    Depth, motion and cameras make it; hidden points count too, NaN is unknown.
    """
    width, height = scene.size
    points = scene.pointmap(i, i + 1).reshape(-1, 3)
    cameras = scene.cameras
    uv, z = project_to(points, cameras.intrinsics[i + 1], cameras.camera_from_world[i + 1])
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    moved = uv.reshape(height, width, 2) - np.stack([x, y], axis=-1)
    return np.where((z > 0).reshape(height, width, 1), moved, np.nan).astype(np.float32)


def views(scene: Scene, truth: Clip) -> Numbers:
    """PSNR (dB), SSIM and LPIPS of what other cameras saw: means over the views, of judged pixels.

    LPIPS needs weights of the user's (see ``users_lpips``) and is NaN without them.
    The cameras are carried into the scene by the similarity of the paths, and see its points of all
    frames where they are at the view's time: that of the clip's nearest frame.
    """
    held = truth.views
    if held is None or truth.world_from_camera is None or truth.times is None:
        return {}
    poses = similarity(scene, truth).inverse.poses(held.world_from_camera)
    network, size = users_lpips(), (held.frames.shape[2], held.frames.shape[1])
    judged = np.ones(held.frames.shape[:3], bool) if held.judged is None else held.judged
    some = np.flatnonzero(judged.any(axis=(1, 2)))
    at = np.abs(held.times[some, None] - truth.times).argmin(axis=1)
    times, which = np.unique(at, return_inverse=True)
    clouds = Gathering(scene, POINTS, seed=0).each(times.astype(np.float64))
    found = []
    for k, cloud in enumerate(clouds):
        for v in some[which == k]:
            view = View(held.intrinsics[v], poses[v], size)
            drawn = scene.draw(cloud, view).image.astype(np.float32) / 255
            picture, mask = held.frames[v].astype(np.float32) / 255, judged[v]
            seen = NAN if network is None else masked_lpips(network, drawn, picture, mask)
            found.append((psnr(drawn, picture, mask), ssim(drawn, picture, mask), seen))
    means = np.mean(found, axis=0) if found else np.full(3, NAN)
    return dict(zip(("view_psnr", "view_ssim", "view_lpips"), means.tolist(), strict=True))


def _resized(flow: Float[np.ndarray, "H W 2"], size: tuple[int, int]) -> Float[np.ndarray, "h w 2"]:
    """A flow of pictures of another size."""
    ratio = np.divide(size, flow.shape[1::-1])
    if (ratio == 1).all():
        return flow
    return cv2.resize(flow, size, interpolation=cv2.INTER_LINEAR) * ratio
