"""Flow files, read by OpenCV, hold where points go by the textbook's projection."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from export_world import VELOCITY, H, W, make_world, project

from worldline.errors import InputError


@pytest.mark.parametrize("zooms", [False, True])
def test_flow_is_motion_and_camera_together(tmp_path: Path, zooms: bool) -> None:
    scene = make_world(zooms=zooms)
    folder = scene.export(tmp_path / "f", to="flow")
    assert len(list(folder.glob("*.flo"))) == len(scene) - 1
    y, x = np.mgrid[:H, :W] + 0.5
    for i in range(len(scene) - 1):
        flow = cv2.readOpticalFlow(str(folder / f"{i:06d}.flo"))
        moved = scene.pointmap(i) + scene.dynamic[i][..., None] * VELOCITY
        truth = project(scene, i + 1, moved) - np.stack([x, y], axis=-1)
        known = np.isfinite(scene.depth[i])
        assert np.abs(flow[known] - truth[known]).max() < 1e-3
        assert (flow[~known] == np.float32(1e10)).all()
        assert (~known).any()
        assert (scene.dynamic[i] > 0).any()


def test_one_frame_has_no_flow(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this scene has one frame"):
        make_world(1).export(tmp_path / "f", to="flow")
    assert not list(tmp_path.iterdir())
