"""How long CoTracker3 and VGGT's tracker take: ours beside the published code, on equal weights.

python benchmarks/tracker_networks.py --cotracker DIR --map-anything DIR

The folders are checkouts of facebookresearch/co-tracker and of facebookresearch/map-anything, which
holds a copy of VGGT; its tracker needs einops. Weights are random, with heads that let
points wander for some pixels. Both sides take turns, so that they meet the same load, and a ratio
is the median of those of neighbours: above 1 where ours is sooner. In bfloat16 our weights are
cast, and the published code, which cannot be cast, runs under autocast. Memory is what a run adds
at most, in a process of its own. `both ways` is the predictor with backward tracking.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from statistics import median
from types import ModuleType

import torch
import tyro
from torch import Tensor, nn

from side_by_side import peak, timed
from worldline.models.cotracker3 import PUBLISHED, CoTracker3
from worldline.models.cotracker3_online import Stream
from worldline.models.cotracker3_tracking import track
from worldline.models.vggt_tracker import VggtTracker, VggtTrackerConfig

Run = Callable[[], Tensor]
TRACK_MODULES = "mapanything/models/external/vggt/heads/track_modules"
CASES = ("offline", "online", "both ways", "vggt")


@dataclass(frozen=True)
class Options:
    """What is measured; the published resolution and sizes by default."""

    cotracker: Path | None = None
    map_anything: Path | None = None
    size: tuple[int, int] = (384, 512)  # height, width
    frames: int = 24
    points: int = 256
    iterations: int = 6
    repeats: int = 3
    threads: int = torch.get_num_threads()
    device: str = "cpu"
    cases: tuple[str, ...] = CASES
    peak: str = ""  # of one side alone, as in "ours float32": prints its memory only


@torch.inference_mode()
def main(options: Options) -> None:
    """Prints seconds, ratios, differences and memory."""
    torch.set_num_threads(options.threads)
    for case in options.cases:
        if (options.map_anything if case == "vggt" else options.cotracker) is None:
            continue
        if options.peak:
            side, precision = options.peak.split()
            print(peak(runs(case, options, precision)[side, precision], options.device))
        else:
            measure(case, options)


def measure(case: str, options: Options) -> None:
    height, width = options.size
    print(
        f"{case}: {options.frames} frames of {width} x {height}, {options.points} points, "
        f"{options.iterations} iterations, {options.threads} threads"
    )
    sides = runs(case, options, "float32") | runs(case, options, "bfloat16")
    rounds = []
    for _ in range(options.repeats + 1):  # the first warms up
        rounds.append({key: timed(run, options.device) for key, run in sides.items()})
    truth = rounds[0]["theirs", "float32"][1]
    wander = (truth - truth[:, :1]).norm(dim=-1).mean()
    for key in sides:
        seconds = [taken[key][0] for taken in rounds[1:]]
        ratio = median(taken["theirs", key[1]][0] / taken[key][0] for taken in rounds[1:])
        apart = (rounds[0][key][1] - truth).norm(dim=-1)
        print(
            f"  {key[0]:6} {key[1]:8} {min(seconds):8.3f} s, {ratio:5.2f} times as fast, "
            f"{child(case, key, options):7.0f} MB, off by {apart.mean():.2g} px on average, "
            f"{apart.max():.2g} at most (points wander for {wander:.1f})"
        )


def runs(case: str, options: Options, precision: str) -> dict[tuple[str, str], Run]:
    """Both sides; each gives tracks [1, T, N, 2]."""
    make = {"offline": offline, "online": online, "both ways": both_ways, "vggt": vggt}[case]
    ours, theirs = make(options, getattr(torch, precision))
    device = torch.device(options.device).type

    def their_tracks() -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            return theirs().float()

    return {("ours", precision): ours, ("theirs", precision): their_tracks}


def offline(options: Options, dtype: torch.dtype) -> tuple[Run, Run]:
    ours, theirs = cotrackers("offline", options, dtype)
    video, queries = clip(options)
    return (
        lambda: ours(video, queries, options.iterations).xy,
        lambda: theirs(video, queries, iters=options.iterations)[0],
    )


def online(options: Options, dtype: torch.dtype) -> tuple[Run, Run]:
    ours, theirs = cotrackers("online", options, dtype)
    video, queries = clip(options)

    def streamed() -> Tensor:
        stream = Stream(ours, queries, options.iterations)
        stream.push(video)
        return stream.finish().tracks(ours.config.stride).xy

    return streamed, lambda: theirs(video, queries, iters=options.iterations)[0]


def both_ways(options: Options, dtype: torch.dtype) -> tuple[Run, Run]:
    ours, theirs = cotrackers("offline", options, dtype)
    ours.config = replace(ours.config, resolution=options.size)
    video, queries = clip(options)
    frames = video[0].permute(0, 2, 3, 1).to(torch.uint8)
    half = torch.tensor([0, 0.5, 0.5], device=options.device)
    predictor = published(options.cotracker, "cotracker.predictor").CoTrackerPredictor(None)
    predictor.model, predictor.interp_shape = theirs, options.size
    theirs.model_resolution = options.size
    video = frames.permute(0, 3, 1, 2)[None].float()
    return (
        lambda: (
            track(ours, frames, queries[0] + half, backward=True).xy.transpose(0, 1)[None] - 0.5
        ),
        lambda: predictor(video, queries=queries, backward_tracking=True)[0],
    )


def vggt(options: Options, dtype: torch.dtype) -> tuple[Run, Run]:
    torch.manual_seed(0)
    package = ModuleType("track_modules")  # by itself, without what the rest of it imports
    package.__path__ = [str(options.map_anything / TRACK_MODULES)]
    sys.modules["track_modules"] = package
    theirs = import_module("track_modules.base_track_predictor").BaseTrackerPredictor(
        stride=2, corr_levels=7, corr_radius=4, latent_dim=128, hidden_size=384
    )
    theirs.updateformer.flow_head.weight.data.mul_(20)
    ours = VggtTracker(VggtTrackerConfig())
    ours.load_state_dict(theirs.state_dict())
    ours.to(options.device, dtype).eval()
    theirs.to(options.device).eval()
    video, queries = clip(options)
    features = torch.nn.functional.avg_pool2d(video[0], 2)
    features = features[:, torch.arange(128) % 3].unflatten(0, (1, -1)) / 100
    features += torch.randn(128, 1, 1, generator=torch.manual_seed(1)).to(options.device)
    points = queries[..., 1:]
    return (
        lambda: ours(features.to(dtype), points, options.iterations)[0][-1],
        lambda: theirs(points, features, iters=options.iterations)[0][-1],
    )


def cotrackers(kind: str, options: Options, dtype: torch.dtype) -> tuple[CoTracker3, nn.Module]:
    """Ours and theirs with the same random weights."""
    torch.manual_seed(0)
    config = PUBLISHED[f"cotracker3-{kind}"]
    module = published(options.cotracker, f"cotracker.models.core.cotracker.cotracker3_{kind}")
    build = getattr(module, f"CoTrackerThree{kind.capitalize()}")
    theirs = build(window_len=config.window, stride=4, corr_radius=3)
    for head in (theirs.updateformer.flow_head, theirs.updateformer.vis_conf_head):
        head.weight.data.mul_(20)
    ours = CoTracker3(config)
    ours.load_state_dict(theirs.state_dict())
    return ours.to(options.device, dtype).eval(), theirs.to(options.device).eval()


def published(checkout: Path, name: str) -> ModuleType:
    """A module of a checkout."""
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    return import_module(name)


def clip(options: Options) -> tuple[Tensor, Tensor]:
    """Smooth noise that slides, [1,T,3,H,W] in 0 to 255, and queries (frame, x, y) [1,N,3]."""
    generator = torch.Generator().manual_seed(0)
    height, width = options.size
    coarse = torch.rand(1, 3, height // 8, width // 4, generator=generator) * 255
    wall = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 255)
    video = torch.stack([wall[0, :, :, 2 * i : 2 * i + width] for i in range(options.frames)])
    frames = torch.randint(options.frames, (1, options.points, 1), generator=generator)
    places = torch.rand(1, options.points, 2, generator=generator)
    queries = torch.cat([frames, places * torch.tensor([width - 1, height - 1])], dim=-1)
    return video[None].to(options.device), queries.to(options.device)


def child(case: str, side: tuple[str, str], options: Options) -> float:
    """The peak memory of one side, in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:]]
    command += ["--cases", case, "--peak", " ".join(side)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


if __name__ == "__main__":
    main(tyro.cli(Options))
