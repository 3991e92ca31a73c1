"""Each frame's PLY holds that frame's own points, no more and no fewer."""

from pathlib import Path

import numpy as np
from plyfile import PlyData

from worldline.scene import Scene


def test_frames_read_back(world: Scene, tmp_path: Path) -> None:
    folder = world.export(tmp_path / "p", to="ply-frames")
    files = sorted(folder.glob("*.ply"))
    assert [path.name for path in files] == [f"{i:06d}.ply" for i in range(len(world))]
    for i, path in enumerate(files):
        read = PlyData.read(path)["vertex"]
        known = np.isfinite(world.depth[i])
        xyz = np.stack([read[name] for name in "xyz"], axis=-1)
        assert np.abs(xyz - world.pointmap(i)[known]).max() < 1e-4
        rgb = np.stack([read[name] for name in ("red", "green", "blue")], axis=-1)
        assert np.array_equal(rgb, world.frames[i][known])
        assert (read["frame"] == i).all()
    few = world.export(tmp_path / "few", to="ply-frames", max_points=7, min_confidence=1.0)
    assert len(PlyData.read(few / "000003.ply")["vertex"]) == 7
