"""DUSt3R beside the published code: the same random weights, numbers, seconds and memory.

    python benchmarks/networks_dust3r.py --dust3r DIR --croco DIR    # checkouts of naver's

The published width and depth on small pictures, so that it runs on a CPU. `pair` is two pictures;
`clip` all twelve ordered pairs of four, of which the published code is given each with its mirror
image, as it is quickest. Runs take turns; seconds are the medians, the ratio that of neighbours.
In bfloat16 the heads stay in float32 on both sides. Peaks are what one clip takes beyond the
weights, each in a process of its own. Gaps are the largest, in units of the largest entry, from
the published float32.
"""

import argparse
import statistics
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from side_by_side import gap, now, peak
from worldline.models.dust3r import Dust3r, Dust3rConfig, renamed

PAIRS = torch.tensor([pair for i, j in combinations(range(4), 2) for pair in ((i, j), (j, i))])
SIDES = ("ours", "theirs")
Run = Callable[[], dict[str, Tensor]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dust3r", type=Path, required=True)
    parser.add_argument("--croco", type=Path, required=True)
    parser.add_argument("--head", choices=("dpt", "linear"), default="dpt")
    parser.add_argument("--encoder", type=int, default=24, help="blocks (published: 24)")
    parser.add_argument("--size", type=int, nargs=2, default=(224, 288), help="height, width")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peak", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images = torch.rand(4, 3, *options.size, device=options.device) * 2 - 1
    with torch.inference_mode():
        theirs, ours = both(options)
        if options.peak:
            clip_of(options.peak, theirs, ours, images[..., :32, :32])()  # what is set up once
            print(peak(clip_of(options.peak, theirs, ours, images), options.device))
            return
        exact: dict[str, dict[str, Tensor]] = {}
        for precision in ("float32", "bfloat16"):
            if precision == "bfloat16":
                for part in ours.TRUNK:
                    ours.get_submodule(part).bfloat16()
            for name, make in (("pair", pair_of), ("clip", clip_of)):
                runs = {side: make(side, theirs, ours, images) for side in SIDES}
                found = report(f"{precision} {name}", runs, precision, options)
                expected = exact.setdefault(name, found["theirs"])
                for entry, tensor in expected.items():
                    gaps = (f"{side} {gap(found[side][entry], tensor):.1e}" for side in SIDES)
                    print(f"  {entry}: {', '.join(gaps)}")
    peaks = {side: child(side) for side in SIDES}
    print(f"peak of a clip, float32: ours {peaks['ours']:.0f} MB, theirs {peaks['theirs']:.0f} MB")


def both(options: Namespace) -> tuple[nn.Module, Dust3r]:
    """The published network, and ours with its very tensors."""
    config = Dust3rConfig(head=options.head, enc_depth=options.encoder)
    theirs = published(options, config).eval().to(options.device)
    with torch.device("meta"):
        ours = Dust3r(config)
    tensors = {renamed(name): tensor for name, tensor in theirs.state_dict().items()}
    tensors.pop(None, None)
    ours.load_state_dict(tensors, assign=True)
    return theirs, ours.eval()


def published(options: Namespace, config: Dust3rConfig) -> nn.Module:
    """DUSt3R as published, without what it takes from the hub and from einops."""
    hub: Any = ModuleType("huggingface_hub")
    hub.__version__ = "1.0.0"

    class Mixin:
        def __init_subclass__(cls, **_: Any) -> None:
            pass

    hub.PyTorchModelHubMixin = Mixin
    einops: Any = ModuleType("einops")
    einops.rearrange = lambda x, _, nh, nw: x.transpose(1, 2).unflatten(2, (nh, nw))
    einops.repeat = None
    croco = ModuleType("dust3r.utils.path_to_croco")  # looks for a submodule
    for module in (hub, einops, croco):
        sys.modules[module.__name__] = module
    sys.path[:0] = [str(options.dust3r), str(options.croco)]
    # On a CPU theirs would not keep the heads in float32, as it does on a GPU.
    torch.cuda.amp.autocast = lambda enabled: torch.autocast(options.device, enabled=enabled)  # type: ignore[misc, assignment]
    infinity = float("inf")
    return import_module("dust3r.model").AsymmetricCroCo3DStereo(
        pos_embed="RoPE100",
        img_size=(config.image, config.image),
        head_type=config.head,
        depth_mode=("exp", -infinity, infinity),
        conf_mode=("exp", 1, infinity),
        landscape_only=False,
        enc_embed_dim=config.enc_dim,
        enc_depth=config.enc_depth,
        enc_num_heads=config.enc_heads,
        dec_embed_dim=config.dec_dim,
        dec_depth=config.dec_depth,
        dec_num_heads=config.dec_heads,
    )


def pair_of(side: str, theirs: nn.Module, ours: Dust3r, images: Tensor) -> Run:
    if side == "theirs":
        return lambda: asked(theirs, images, PAIRS[:1])
    return lambda: named(*ours(as_wanted(ours, images[:1]), as_wanted(ours, images[1:2])))


def clip_of(side: str, theirs: nn.Module, ours: Dust3r, images: Tensor) -> Run:
    if side == "theirs":
        return lambda: joined([asked(theirs, images, two) for two in PAIRS.split(2)])

    def run() -> dict[str, Tensor]:
        features = ours.encode(as_wanted(ours, images))
        pairs = PAIRS.to(images.device)
        size = (images.shape[2], images.shape[3])
        return joined([named(*ours.decode(features, two, size)) for two in pairs.split(2)])

    return run


def as_wanted(ours: Dust3r, images: Tensor) -> Tensor:
    return images.to(ours.decoder_embed.weight.dtype)


def asked(theirs: nn.Module, images: Tensor, pairs: Tensor) -> dict[str, Tensor]:
    views = [
        {"img": images[view], "instance": [str(int(i)) for i in view]}
        for view in pairs.to(images.device).mT
    ]
    first, second = theirs(*views)
    return {
        "points 1": first["pts3d"],
        "points 2": second["pts3d_in_other_view"],
        "confidence 1": first["conf"],
        "confidence 2": second["conf"],
    }


def named(first: Any, second: Any) -> dict[str, Tensor]:
    return {
        "points 1": first.points,
        "points 2": second.points,
        "confidence 1": first.confidence,
        "confidence 2": second.confidence,
    }


def joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def report(
    what: str, runs: dict[str, Run], precision: str, options: Namespace
) -> dict[str, dict[str, Tensor]]:
    """Time the sides in turn and print it; returns what they found."""
    seconds: dict[str, list[float]] = {side: [] for side in runs}
    found = {}
    for _ in range(options.repeats):
        for side, run in runs.items():
            cast = side == "theirs" and precision == "bfloat16"
            with torch.autocast(options.device, torch.bfloat16) if cast else nullcontext():
                start = now(options.device)
                found[side] = run()
                seconds[side].append(now(options.device) - start)
    ratio = statistics.median(
        b / a for a, b in zip(seconds["ours"], seconds["theirs"], strict=True)
    )
    own, their = (statistics.median(seconds[side]) for side in SIDES)
    print(f"{what}: ours {own:.2f} s, theirs {their:.2f} s, {ratio:.2f} times as fast", flush=True)
    return found


def child(side: str) -> float:
    command = [sys.executable, *sys.argv, "--peak", side]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(told.splitlines()[-1])


if __name__ == "__main__":
    main()
