"""Protects that points which coincide become one, by how sure they are, and no others do."""

import numpy as np

from worldline.scene.cloud import PointCloud, fused


def cloud(xyz, confidence) -> PointCloud:
    count = len(xyz)
    return PointCloud(
        np.asarray(xyz, np.float32),
        np.arange(3 * count, dtype=np.uint8).reshape(count, 3),
        np.asarray(confidence, np.float32),
        np.arange(count, dtype=np.int32),
        np.linspace(0, 1, count, dtype=np.float32),
    )


def test_points_of_one_cell_become_their_weighted_mean():
    points = cloud([[0.1, 0.1, 5.1], [0.5, 0.1, 5.1], [3.1, 0.1, 5.1]], [3.0, 1.0, 2.0])
    one = fused(points, np.ones(3, np.float32))
    order = np.argsort(one.xyz[:, 0])
    np.testing.assert_allclose(one.xyz[order], [[0.2, 0.1, 5.1], [3.1, 0.1, 5.1]], rtol=1e-6)
    assert one.source_frame[order].tolist() == [0, 2] and one.confidence[order].tolist() == [3, 2]
    assert one.rgb[order][0].tolist() == [1, 2, 3]  # of (0,1,2) three times and (3,4,5)


def test_points_farther_apart_than_their_spacing_stay_as_they_are():
    generator = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3), axis=-1).reshape(-1, 3) + 0.5
    points = cloud(grid * 0.25, generator.random(len(grid)))
    one = fused(points, np.full(len(grid), 0.25, np.float32))
    assert sorted(map(tuple, one.xyz.tolist())) == sorted(map(tuple, points.xyz.tolist()))
    assert len(fused(points[:0], np.zeros(0, np.float32))) == 0


def test_coarse_points_do_not_swallow_fine_ones():
    points = cloud([[0.1, 0.1, 0.1], [0.1, 0.1, 0.1]], [1.0, 1.0])
    assert len(fused(points, np.array([1.0, 16.0], np.float32))) == 2
