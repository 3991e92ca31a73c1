"""Every published checkpoint's names and shapes, as its manifest tells them, find their network."""

import pytest

from worldline.models.fitting import fitting, misfit, published, renaming
from worldline.models.registry import NETWORKS

MANIFESTS = {  # and the network and sizes that fit; those of one config are one
    "raft_small": ("raft", {"raft-small"}),
    "raft_basic": ("raft", {"raft-basic"}),
    "searaft_S": ("searaft", {"searaft-s"}),
    "searaft_M": ("searaft", {"searaft-m", "searaft-l"}),  # they differ in iterations alone
    "cotracker3_offline": ("cotracker3", {"cotracker3-offline"}),
    "cotracker3_online": ("cotracker3", {"cotracker3-online"}),
    "dust3r_512_dpt": ("dust3r", {"dust3r-512-dpt"}),
    "dust3r_512_linear": ("dust3r", {"dust3r-512-linear", "dust3r-224-linear"}),
    "vggt": ("vggt", {"vggt-1b"}),
    "vdpm": ("vdpm", {"vdpm"}),
    "da3-small": ("da3", {"da3-small"}),
    "da3-base": ("da3", {"da3-base"}),
    "da3-large": ("da3", {"da3-large"}),
    "da3-giant": ("da3", {"da3-giant"}),
    "da3metric-large": ("da3", {"da3-metric"}),
    "da3mono-large": ("da3", {"da3-metric"}),
    "da3nested-giant-large": ("da3", {"da3-nested"}),
    "fourrc": ("fourrc", {"4rc"}),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_published_file_is_recognised_whichever_shared_names_it_holds(manifest, name):
    network, expected = MANIFESTS[name]
    if not NETWORKS[network].there:
        pytest.skip(f"there is no {network} yet")
    shapes, groups = manifest(name)
    assert {sizes.name for sizes in fitting(shapes)} == expected
    for keep in (0, -1):
        left_out = {one for group in groups for one in group if one != group[keep]}
        fewer = {one: shape for one, shape in shapes.items() if one not in left_out}
        sizes = published(min(expected))
        assert not misfit(sizes, renaming(sizes, fewer), fewer)
    grouped = {one for group in groups for one in group}
    names = renaming(sizes, shapes)
    alone = next(one for one in names if names[one] is not None and one not in grouped)
    lacking = {one: shape for one, shape in shapes.items() if one != alone}
    assert len(misfit(sizes, renaming(sizes, lacking), lacking)) == 1
