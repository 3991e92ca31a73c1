"""The networks by name, and the published checkpoints: what they are, where, and their licence.

A network's module loads when it is first asked for. It holds one or more `nn.Module`s, each with
its dataclass of sizes as the class attribute `Config`; `PUBLISHED`, the published sizes by name;
and `renamed`, from published names of tensors to ours.
"""

import importlib
import importlib.util
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

from torch import nn

from worldline.errors import InputError


@dataclass(frozen=True)
class Network:
    """One architecture. `home`: the module that holds it."""

    name: str
    home: str

    @property
    def there(self) -> bool:
        """Whether this version of Worldline has the module."""
        return importlib.util.find_spec(self.home) is not None

    @cached_property
    def module(self) -> ModuleType:
        """The imported module. Raises InputError where this version has none."""
        if not self.there:
            raise InputError(f"this version of Worldline has no network {self.name}: update it.")
        return importlib.import_module(self.home)

    @cached_property
    def classes(self) -> dict[str, type[nn.Module]]:
        """The networks of the module by the names of their dataclasses of sizes."""
        home = self.module.__name__
        parts = [part for part in vars(self.module).values() if isinstance(part, type)]
        own = [part for part in parts if issubclass(part, nn.Module) and part.__module__ == home]
        return {part.Config.__name__: part for part in own if hasattr(part, "Config")}

    def build(self, config: Any) -> nn.Module:
        """The network of these sizes, on the current default device."""
        return self.classes[type(config).__name__](config)


@dataclass(frozen=True)
class Checkpoint:
    """Published weights.

    sizes: the entry of the network's `PUBLISHED`.
    source: `hub:owner/name/file[@revision]`, a file on the Hugging Face hub, or a URL; after `#`
        the member of a zip archive.
    licence: of the weights, which is not always the code's; says so where commerce is excluded.
    megabytes: its size (the member's), where it is known.
    sha256: of the file (of the member), where more than one public source tells the same one. The
        hub tells it of its files, too, and then that one is checked.
    """

    name: str
    network: str
    sizes: str
    source: str
    licence: str
    summary: str
    megabytes: int | None = None
    sha256: str | None = None


NETWORKS = {
    name: Network(name, f"worldline.models.{name}")
    for name in (
        "raft",  # optical flow (Teed and Deng, ECCV 2020)
        "searaft",  # optical flow with its uncertainty (Wang et al., ECCV 2024)
        "cotracker3",  # tracks of points (Karaev et al., 2024)
        "dust3r",  # point maps of image pairs (Wang et al., CVPR 2024), MonST3R's and MASt3R's too
        "vggt",  # cameras, depth, points, tracks of many views (Wang et al., CVPR 2025)
        "vdpm",  # V-DPM: points of dynamic views at any view's time (Sucar et al., 2026)
        "da3",  # Depth Anything 3 (Lin et al., 2025)
        "fourrc",  # 4RC: 4D reconstruction by queries (Luo et al., 2026)
        "complet4r",  # Complet4R: complete points at any time (CVPR 2026); no weights are published
    )
}

BSD = "BSD-3-Clause"
APACHE = "Apache-2.0"
NC = "CC-BY-NC-4.0 (non-commercial)"
NC_SA = "CC-BY-NC-SA-4.0 (non-commercial)"
S_LAB = "S-Lab License 1.0 (non-commercial)"

_RAFT = "https://dl.dropboxusercontent.com/s/4j4z58wuv8o0mfz/models.zip#models/raft-"
_SEARAFT = "hub:MemorySlices/Tartan-C-T-TSKH-spring540x960-"
_COTRACKER = "hub:facebook/cotracker3/"
_DUST3R = "hub:naver/DUSt3R_ViTLarge_BaseDecoder_"
_MONST3R = "hub:Junyi42/MonST3R_PO-TA-S-W_ViTLarge_BaseDecoder_512_dpt/model.safetensors"
_MAST3R = "hub:naver/MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric"
_DA3 = "hub:depth-anything/DA3"
_FILE = "/model.safetensors"

CHECKPOINTS = {
    checkpoint.name: checkpoint
    for checkpoint in (
        Checkpoint(
            *("raft-small", "raft", "raft-small", f"{_RAFT}small.pth", BSD),
            "flow, 1.0M parameters, trained on Chairs and Things",
            4,
            "c7d41b9cc88442bb8aa911dbb33086dac55a226394b142937ff22d5578717332",
        ),
        Checkpoint(
            *("raft-things", "raft", "raft-basic", f"{_RAFT}things.pth", BSD),
            "flow, trained on Chairs and Things",
            21,
            "fcfa4125d6418f4de95d84aec20a3c5f4e205101715a79f193243c186ac9a7e1",
        ),
        Checkpoint(
            *("raft-sintel", "raft", "raft-basic", f"{_RAFT}sintel.pth", BSD),
            "flow, trained further on Sintel",
            21,
            "90630d2e7d488a0d3ccb5e8194524850c4c05c732ea4ff99799822c7fa5c5cbf",
        ),
        Checkpoint(
            *("raft-kitti", "raft", "raft-basic", f"{_RAFT}kitti.pth", BSD),
            "flow, trained further on KITTI",
            21,
            "b9d170362415e1a27bd8402ee966a3ddf0d60df9b2df2c0b4949f5ced490a9e6",
        ),
        Checkpoint(
            *("raft-chairs", "raft", "raft-basic", f"{_RAFT}chairs.pth", BSD),
            "flow, trained on Chairs alone",
            21,
            "c6c75465cf995d137f89ca2e2d08594ed390befbb8859f7f65c48bcc8feb0fd7",
        ),
        Checkpoint(
            *("searaft-s", "searaft", "searaft-s", f"{_SEARAFT}S{_FILE}", BSD),
            "flow with its uncertainty, trained last on Spring",
            36,
        ),
        Checkpoint(
            *("searaft-m", "searaft", "searaft-m"),
            f"{_SEARAFT}M{_FILE}@eb97ef34ba5d856c3fa2cdcd073150c057ac8b69",
            BSD,
            "flow with its uncertainty, trained last on Spring",
            79,
        ),
        Checkpoint(
            *("cotracker3-offline", "cotracker3", "cotracker3-offline"),
            f"{_COTRACKER}scaled_offline.pth@b748ec5e5cd4b9f525a94cc544f0be34bbcc22e2",
            NC,
            "tracks of points over a whole video",
            102,
            "2670d4562ed69326dda775a26e54883925cd11b6fc9b24cb7aa9f8078bce7834",
        ),
        Checkpoint(
            *("cotracker3-online", "cotracker3", "cotracker3-online"),
            f"{_COTRACKER}scaled_online.pth@b748ec5e5cd4b9f525a94cc544f0be34bbcc22e2",
            NC,
            "tracks of points through sliding windows",
            102,
            "205d34789f19699d64b22cf93f9b697f15f28d4025240e31532e504109837218",
        ),
        Checkpoint(
            *("dust3r-512-dpt", "dust3r", "dust3r-512-dpt"),
            f"{_DUST3R}512_dpt{_FILE}@61c57447d7b0adc8a1a30b2b0adec7a8935aa2a3",
            NC_SA,
            "point maps of image pairs, 512 pixels",
            2280,
        ),
        Checkpoint(
            *("dust3r-512-linear", "dust3r", "dust3r-512-linear", f"{_DUST3R}512_linear{_FILE}"),
            NC_SA,
            "point maps of image pairs, 512 pixels, linear head",
            2130,
        ),
        Checkpoint(
            *("dust3r-224-linear", "dust3r", "dust3r-224-linear", f"{_DUST3R}224_linear{_FILE}"),
            NC_SA,
            "point maps of image pairs, 224 pixels, linear head",
            2130,
        ),
        Checkpoint(
            *("monst3r", "dust3r", "monst3r"),
            f"{_MONST3R}@1ea2a9eade23a10898ec73be3fd44b5aa4ea0255",
            NC_SA,
            "DUSt3R trained further on videos of moving things",
            2280,
        ),
        Checkpoint(  # some of its training data have narrower licences; its page tells them
            *("mast3r", "dust3r", "mast3r", f"{_MAST3R}{_FILE}", NC_SA),
            "DUSt3R trained further in metres, for matching",
            2750,
        ),
        Checkpoint(
            *("vggt", "vggt", "vggt-1b", f"hub:facebook/VGGT-1B{_FILE}", NC),
            "cameras, depth, points and tracks of many views, 1.26B parameters",
            5030,
        ),
        Checkpoint(  # the code's licence beside it; the hub's page of the weights was not seen
            *("vdpm", "vdpm", "vdpm", "hub:edgarsucar/vdpm/model.pt"),
            "MIT, and the VGGT License for what it starts from",
            "points of each view at any view's time",
        ),
        Checkpoint(
            *("da3-small", "da3", "da3-small", f"{_DA3}-SMALL{_FILE}", APACHE),
            "depth, rays and cameras of any views, 0.03B parameters",
        ),
        Checkpoint(
            *("da3-base", "da3", "da3-base", f"{_DA3}-BASE{_FILE}", APACHE),
            "depth, rays and cameras of any views, 0.14B parameters",
        ),
        Checkpoint(  # retrained after a bug in training; its authors recommend it over the first
            *("da3-large", "da3", "da3-large"),
            f"{_DA3}-LARGE-1.1{_FILE}@0e109ae307c5982f319a67cf6f9f99ccdc0ec97c",
            NC,
            "depth, rays and cameras of any views, 0.4B parameters, version 1.1",
        ),
        Checkpoint(
            *("da3-giant", "da3", "da3-giant", f"{_DA3}-GIANT-1.1{_FILE}", NC),
            "depth, rays and cameras of any views, 1.2B parameters, version 1.1",
        ),
        Checkpoint(
            *("da3-metric", "da3", "da3-metric", f"{_DA3}METRIC-LARGE{_FILE}", APACHE),
            "depth of single views in metres, and their sky",
        ),
        Checkpoint(
            *("da3-mono", "da3", "da3-mono", f"{_DA3}MONO-LARGE{_FILE}", APACHE),
            "relative depth of single views, and their sky",
        ),
        Checkpoint(
            *("da3-nested", "da3", "da3-nested", f"{_DA3}NESTED-GIANT-LARGE-1.1{_FILE}", NC),
            "da3-giant in the metres of da3-metric, version 1.1",
            7260,
        ),
        Checkpoint(  # the code's licence beside it; the hub's page of the weights was not seen
            *("4rc", "fourrc", "4rc", f"hub:Luo-Yihang/4RC{_FILE}", S_LAB),
            "cameras, depth, and points at any frame's time",
        ),
        Checkpoint(
            *("4rc-geofinetune", "fourrc", "4rc", f"hub:Luo-Yihang/4RC_geofinetune{_FILE}", S_LAB),
            "4rc trained further on more geometry",
        ),
    )
}


def find_network(name: str) -> Network:
    """The network of that name. Raises InputError for a name that is none."""
    if name not in NETWORKS:
        raise InputError(f"there is no network {name!r}; there is: {', '.join(NETWORKS)}")
    return NETWORKS[name]


def network_of(module: nn.Module) -> Network:
    """The registered network that a module is an instance of. InputError for any other module."""
    for network in NETWORKS.values():
        if network.home == type(module).__module__:
            return network
    raise InputError(f"{type(module).__name__} is no network that worldline.models.registry lists.")
