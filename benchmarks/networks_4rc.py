"""How long 4RC takes: ours beside the published code, in one run, on equal random weights.

    python benchmarks/networks_4rc.py --published DIR    # a checkout of Luo-Yihang/4RC

Theirs needs addict, einops, huggingface_hub and matplotlib. Widths are the published ones; --blocks
40 is the whole encoder, fewer are for machines where that does not fit. Runs take turns, and a
ratio is the median of those of neighbours: above 1 where ours is sooner. `bfloat16` is ours with
the transformers' matrix products in it, theirs as published (autocast). Deviations are from theirs
in float32: the maximum over the largest entry. Peak memory is of a process of its own: what a run
adds to what was there before it (weights are not counted).
"""

import argparse
import statistics
import subprocess
import sys
import types
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from side_by_side import gap, in_bfloat16, peak, timed
from worldline.models.fourrc import FourRC, FourRCConfig, Latent, renamed
from worldline.nn.precision import halve

Run = Callable[[], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", type=Path, help="leave out to time queries of ours alone")
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=2, default=(154, 280), help="height and width")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true", help="queries of ours in bfloat16")
    parser.add_argument("--compiled", action="store_true", help="compile our encoder")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.no_grad():
        if options.peak:
            print(peak_of_one(options))
        elif options.published is None:
            ours = FourRC(sizes(options)).to(options.device).eval()
            for part in FourRC.TRUNK if options.bfloat16 else ():
                halve(ours.get_submodule(part), torch.bfloat16)
            images = torch.rand(1, options.frames, 3, *options.size, device=options.device)
            cost_of_queries(ours, ours.encode(images)[0], images, options)
        else:
            compare(options)


def compare(options: Namespace) -> None:
    theirs, ours = pair(options)
    images = torch.rand(1, options.frames, 3, *options.size, device=options.device)
    print(
        f"{options.frames} frames of {options.size[1]} x {options.size[0]}, {options.blocks} blocks"
        f", {torch.get_num_threads()} threads, {options.device}"
    )
    half = FourRC(ours.config).to(options.device).eval()
    half.load_state_dict(ours.state_dict())
    for part in FourRC.TRUNK:
        halve(half.get_submodule(part), torch.bfloat16)
    encoders = {
        ("ours", "float32"): lambda: encoded(ours, images),
        ("theirs", "float32"): lambda: theirs.backbone(images, ref_view_strategy="first")[0][-1][0],
        ("ours", "bfloat16"): lambda: encoded(half, images),
        ("theirs", "bfloat16"): in_bfloat16(
            lambda: theirs.backbone(images, ref_view_strategy="first")[0][-1][0], options.device
        ),
    }
    latent, _ = ours.encode(images)
    less = Latent(*(tuple(x.bfloat16() for x in part) for part in latent[:2]), latent.size)
    everywhen = range(options.frames)
    queries = {
        ("ours", "float32"): lambda: ours.displacement(latent, [0], everywhen).points[0, 0],
        ("theirs", "float32"): lambda: moved(theirs, latent, images),
        ("ours", "bfloat16"): lambda: half.displacement(less, [0], everywhen).points[0, 0],
        ("theirs", "bfloat16"): in_bfloat16(lambda: moved(theirs, latent, images), options.device),
    }
    whole = {
        ("ours", "float32"): lambda: ours.encode(images)[1].geometry.depth,
        ("theirs", "float32"): lambda: geometry(theirs, images),
        ("ours", "bfloat16"): lambda: half.encode(images)[1].geometry.depth,
        ("theirs", "bfloat16"): in_bfloat16(lambda: geometry(theirs, images), options.device),
    }
    parts = {"encoder": encoders, "encoder and geometry": whole, "one source, all times": queries}
    for name, runs in parts.items():
        report(name, runs, options)
    cost_of_queries(ours, latent, images, options)
    for part in ("encode", "query"):
        sides = {side: child(f"{side} {part}") for side in ("ours", "theirs")}
        print(
            f"peak memory, {part}: ours {sides['ours']:.0f} MB, theirs {sides['theirs']:.0f} MB "
            f"({sides['ours'] / sides['theirs']:.0%})"
        )


def pair(options: Namespace) -> tuple[Any, FourRC]:
    """The published network and ours, with the same random weights."""
    config = sizes(options)
    theirs = published(options, config).to(options.device).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in theirs.parameters():
        noise = torch.randn(parameter.shape, generator=generator) * 0.02
        parameter.data = (noise + (parameter.dim() == 1) * 0.5).to(options.device)
    ours = FourRC(config).to(options.device).eval()
    ours.load_state_dict({str(renamed(name)): x for name, x in theirs.state_dict().items()})
    if options.compiled:
        ours.backbone.compile()
    return theirs, ours


def sizes(options: Namespace) -> FourRCConfig:
    """The published ones, but for the number of blocks."""
    levels = tuple(range(options.blocks))[-7::2] if options.blocks < 40 else (19, 27, 33, 39)
    start = 13 if options.blocks == 40 else 3
    return FourRCConfig(
        dim=1536,
        depth=options.blocks,
        heads=24,
        alternate_from=start,
        levels=levels,
        features=256,
        channels=(256, 512, 1024, 1024),
        motion_depth=4,
        motion_heads=16,
    )


def published(options: Namespace, config: FourRCConfig) -> Any:
    """Their classes at fewer blocks: the class around them holds the sizes as literals."""
    sys.path.insert(0, str(options.published))
    vision = types.ModuleType("torchvision")
    vision.transforms = types.ModuleType("torchvision.transforms")  # type: ignore[attr-defined]
    for name in ("Compose", "ToTensor", "Normalize"):
        setattr(vision.transforms, name, lambda *_, **__: None)
    sys.modules |= {"torchvision": vision, "torchvision.transforms": vision.transforms}
    from arc.models.arc.arc import Arc
    from arc.models.arc.dinov2.vision_transformer import DinoVisionTransformer
    from arc.models.arc.heads.cam_dec import CameraDec
    from arc.models.arc.heads.dpt_head import DPTHead
    from arc.models.arc.heads.dualdpt import DualDPT
    from arc.models.arc.heads.motiondecoder import MotionDecoder

    start, dim = config.alternate_from, config.dim
    trunk = DinoVisionTransformer(
        img_size=518,
        patch_size=14,
        embed_dim=dim,
        depth=config.depth,
        num_heads=config.heads,
        ffn_layer="swiglufused",
        alt_start=start,
        qknorm_start=start,
        rope_start=start,
        cat_token=True,
        has_time_token=True,
    )
    backbone = Backbone(trunk, config.levels)
    network = Arc.__new__(Arc)
    nn.Module.__init__(network)
    network.backbone = backbone
    network.head = DualDPT(dim_in=2 * dim, output_dim=2, features=config.features)
    network.cam_dec = CameraDec(dim_in=2 * dim)
    network.motion_decoder = MotionDecoder(patch_size=14, embed_dim=dim, use_adaln=True, depth=4)
    network.track_head = DPTHead(
        dim_in=dim,
        output_dim=4,
        activation="inv_log",
        conf_activation="expp1",
        intermediate_layer_idx=[0, 1, 2, 3],
    )
    return network


class Backbone(nn.Module):
    """The published encoder with levels of our choice."""

    def __init__(self, trunk: nn.Module, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.pretrained, self.levels = trunk, levels

    def forward(self, images: Tensor, **choices: Any) -> Any:
        return self.pretrained.get_intermediate_layers(images, self.levels, **choices)


def encoded(network: FourRC, images: Tensor) -> Tensor:
    """Patches of the last level, as theirs returns them."""
    return network.backbone(images, lambda _, x: torch.cat([x.local, x.mixed], dim=-1))[-1]


def geometry(theirs: Any, images: Tensor) -> Tensor:
    found = theirs._forward(images, 0, inference_track=False)
    theirs._process_camera_estimation(*images.shape[-2:], found)
    return found["depth"]


def moved(theirs: Any, latent: Latent, images: Tensor) -> Tensor:
    """Their displacements from frame 0 to all frames, from the same latent."""
    tokens = []
    for patches, times in zip(latent.patches, latent.times, strict=True):
        time_token = times[:, :, None]
        feature = torch.cat([time_token, time_token, patches], dim=2)
        tokens.append(
            theirs.motion_decoder(feature, images=images, patch_start_idx=2, track_query_idx=0)
        )
    with torch.autocast(images.device.type, enabled=False):
        tokens = [x.float() for x in tokens]
        return theirs.track_head(tokens, images=images, patch_start_idx=1, frames_chunk_size=8)[0][
            0
        ]


def report(name: str, runs: dict[tuple[str, str], Run], options: Namespace) -> None:
    rounds = []
    for _ in range(options.repeats + 1):  # the first warms up
        rounds.append({key: timed(run, options.device) for key, run in runs.items()})
    truth = rounds[0]["theirs", "float32"][1].float()
    print(f"{name}:")
    for side, precision in runs:
        seconds = [taken[side, precision][0] for taken in rounds[1:]]
        beside = [taken["theirs", precision][0] / taken[side, precision][0] for taken in rounds[1:]]
        faster = [taken["theirs", "float32"][0] / taken[side, precision][0] for taken in rounds[1:]]
        off = gap(rounds[0][side, precision][1], truth)
        print(
            f"  {side:6} {precision:8}: {min(seconds):7.3f} s; {statistics.median(beside):5.2f} "
            f"times theirs in {precision}, {statistics.median(faster):5.2f} times theirs in float32"
            f"; off by {off:.1e}"
        )


def cost_of_queries(ours: FourRC, latent: Latent, images: Tensor, options: Namespace) -> None:
    """What dense and sparse queries cost of an encoding, and many targets in one call."""
    generator = torch.Generator().manual_seed(1)
    limit = torch.tensor([options.size[1] - 1, options.size[0] - 1])
    spread = (torch.rand(64, 2, generator=generator) * limit).round().to(options.device)
    close = (torch.rand(64, 2, generator=generator) * 20).round().to(options.device)
    everywhen = range(options.frames)
    runs: dict[str, Callable[[], Any]] = {
        "encode": lambda: ours.encode(images),
        "dense query": lambda: ours.displacement(latent, [0], [1]),
        "64 pixels anywhere": lambda: ours.displacement(latent, [0], [1], spread),
        "64 pixels in 20 x 20": lambda: ours.displacement(latent, [0], [1], close),
        "all targets, one call": lambda: ours.displacement(latent, [0], everywhen),
        "all targets, one by one": lambda: [ours.displacement(latent, [0], [j]) for j in everywhen],
    }
    rounds = [
        {name: timed(run, options.device)[0] for name, run in runs.items()}
        for _ in range(options.repeats + 1)
    ][1:]
    print(f"queries (ours, {latent.patches[0].dtype}):")
    for name in runs:
        share = statistics.median(r[name] / r["encode"] for r in rounds)
        print(f"  {name:24}: {min(r[name] for r in rounds):7.3f} s, {share:.1%} of the encoding")


def child(what: str) -> float:
    """MB of a run in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--peak", what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def peak_of_one(options: Namespace) -> float:
    """MB that a run adds at most to what was there before it."""
    side, part = options.peak.split()
    theirs, ours = pair(options)
    images = torch.rand(1, options.frames, 3, *options.size, device=options.device)
    everywhen = range(options.frames)
    if part == "encode":
        run = (lambda: ours.encode(images)) if side == "ours" else lambda: geometry(theirs, images)
    else:
        latent, _ = ours.encode(images[:, :2])
        repeat = options.frames // 2
        latent = Latent(*(tuple(x.repeat(1, repeat, *(1,) * (x.dim() - 2)) for x in part)
                          for part in latent[:2]), latent.size)  # fmt: skip
        run = (
            (lambda: ours.displacement(latent, [0], everywhen))
            if side == "ours"
            else lambda: moved(theirs, latent, images)
        )
    return peak(run, options.device)


if __name__ == "__main__":
    main()
