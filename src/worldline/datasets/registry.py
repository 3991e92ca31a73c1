"""The datasets by name. A dataset's module loads when it is first asked for."""

import importlib
import importlib.util
from types import ModuleType

from worldline.errors import InputError

DATASETS: dict[str, str] = {
    "sintel": "MPI Sintel: rendered film scenes with depth, cameras and flow",
    "tum_dynamics": "TUM RGB-D: hand-held Kinect, people walking and sitting (freiburg3)",
    "bonn": "Bonn RGB-D Dynamic: people and boxes that move before a hand-held sensor",
    "scannet": "ScanNet: rooms scanned with a tablet, as exported from .sens files",
    "seven_scenes": "7-Scenes: rooms scanned by a Kinect",
    "nrgbd": "Neural RGB-D: rendered rooms",
    "kitti_depth": "KITTI depth: driving, with depth from laser scans",
    "davis": "DAVIS 2016 and 2017: videos with masks of their objects",
    "tapvid": "TAP-Vid: points followed by hand in DAVIS, Kinetics and robot videos",
    "worldtrack": "WorldTrack: points in the world, of four datasets",
    "tapvid3d": "TAPVid-3D: real videos with points in metres",
    "kubric_dense": "Dense tracking on Kubric and Waymo: each pixel of a frame followed",
    "dycheck": "DyCheck: phone videos of moving things, with further cameras",
    "movi": "MOVi: Kubric's rendered toys that fall and roll",
    "sailvos3d": "SAIL-VOS 3D: scenes of a game, with what is behind others",
    "point_odyssey": "PointOdyssey: rendered people and animals with long tracks",
    "dynamic_replica": "Dynamic Replica: rendered rooms with people and animals",
    "cotracker3_kubric": "CoTracker3's Kubric: long rendered clips with tracks",
    "waymo": "Waymo Open Dataset: driving, with laser scans",
    "dl3dv": "DL3DV-10K: places filmed all around",
    "scannetpp": "ScanNet++: rooms in laser scans, camera and phone pictures",
    "mvs_synth": "MVS-Synth: a game's city with exact depth",
    "synth_bench": "synth-bench: procedural worlds with exact truth, drawn when asked for",
    "folder": "A plain folder a clip: frames, and what is known of them",
}


def dataset(name: str) -> ModuleType:
    """The named dataset's module, a ``worldline.datasets.clip.Dataset``.

    Raises ``InputError`` for a name that is none.
    """
    if name not in DATASETS:
        raise InputError(f"there is no dataset {name!r}; choose from {', '.join(DATASETS)}.")
    module = f"worldline.datasets.{name}"
    if importlib.util.find_spec(module) is None:
        raise InputError(f"this version of Worldline has no reader for {name}: update it.")
    return importlib.import_module(module)
