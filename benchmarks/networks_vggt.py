"""VGGT beside the published code: the same random weights, numbers, seconds and memory.

    python benchmarks/networks_vggt.py --map-anything DIR     # a checkout of
        # facebookresearch/map-anything, which holds a copy of VGGT; needs einops

The published width with few blocks, so that it runs on a CPU. Encoders and heads are timed in turn
in one run; peaks of memory, beyond what the weights take, each in a process of its own.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from side_by_side import gap, now, peak
from worldline.models.vggt import Vggt, VggtConfig, renamed
from worldline.nn.dpt import Dpt

VENDORED = "mapanything.models.external.vggt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--map-anything", type=Path, required=True)
    parser.add_argument("--blocks", type=int, default=4, help="of each kind (published: 24)")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=2, default=(280, 392), help="height, width")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peak", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    parser.add_argument("--bfloat16", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.manual_seed(0)
    images = torch.rand(1, options.frames, 3, *options.size, device=options.device)
    with torch.inference_mode():
        if options.peak:
            print(peak_of_one(options, images))
        else:
            compare(options, images)


def compare(options: argparse.Namespace, images: Tensor) -> None:
    theirs, ours = both(options)
    sides = {"ours": (ours, our_parts), "theirs": (theirs, their_parts)}
    exact: dict[str, Tensor] = {}
    for bfloat16 in (False, True):
        seconds: dict[tuple[str, str], list[float]] = {}
        outputs: dict[str, dict[str, Tensor]] = {}
        for _ in range(options.repeats):
            for side, (network, parts) in sides.items():
                with torch.autocast(options.device, torch.bfloat16, enabled=bfloat16):
                    outputs[side], taken = parts(network, images)
                for part, time_taken in taken.items():
                    seconds.setdefault((part, side), []).append(time_taken)
        exact = exact or outputs["theirs"]
        precision = "bfloat16" if bfloat16 else "float32"
        for part in ("encoder", "heads"):
            own, their = min(seconds[part, "ours"]), min(seconds[part, "theirs"])
            print(f"{precision} {part}: ours {own:.2f} s, theirs {their:.2f} s ({own / their:.2f})")
        for name, expected in exact.items():
            gaps = (f"{side} {gap(outputs[side][name], expected):.1e}" for side in sides)
            print(f"{precision} {name}, from the published float32: {', '.join(gaps)}")
        peaks = {side: peak_of(side, bfloat16) for side in sides}
        share = peaks["ours"] / peaks["theirs"]
        print(
            f"{precision} peak: ours {peaks['ours']:.0f} MB, theirs {peaks['theirs']:.0f} MB "
            f"({share:.2f})",
            flush=True,
        )


def both(options: argparse.Namespace) -> tuple[nn.Module, Vggt]:
    """The published network and ours with its weights; residual branches weigh something."""
    levels = tuple(range(options.blocks))[-4:]
    config = VggtConfig(depth=options.blocks, dino_depth=options.blocks, levels=levels)
    theirs = published(options.map_anything, config)
    for name, parameter in theirs.named_parameters():
        if name.endswith(("gamma", "camera_token", "register_token")):
            nn.init.normal_(parameter, std=0.3)
    with torch.device("meta"):
        ours = Vggt(config)
    tensors = {renamed(name): tensor for name, tensor in theirs.state_dict().items()}
    ours.load_state_dict(tensors, assign=True)
    return theirs.eval().to(options.device), ours.eval().to(options.device)


def published(checkout: Path, config: VggtConfig) -> nn.Module:
    """VGGT as published, on the vendored DINOv2 in place of one from the net."""
    parts = VENDORED.split(".")
    for end in range(1, len(parts) + 1):  # packages without their own imports, which are many
        package = ModuleType(".".join(parts[:end]))
        package.__path__ = [str(checkout.joinpath(*parts[:end]))]
        sys.modules[package.__name__] = package
    hub: Any = ModuleType("huggingface_hub")
    hub.PyTorchModelHubMixin = type("PyTorchModelHubMixin", (), {})
    sys.modules.setdefault("huggingface_hub", hub)
    layers = import_module(f"{VENDORED}.layers")
    block = import_module(f"{VENDORED}.layers.block")
    layers.NestedTensorBlock = block.NestedTensorBlock  # type: ignore[attr-defined]
    layers.MemEffAttention = block.Attention  # type: ignore[attr-defined]
    layers.SwiGLUFFNFused = None  # type: ignore[attr-defined]
    vision = import_module(f"{VENDORED}.layers.vision_transformer")
    torch.hub.load = lambda *_args, **_more: vision.DinoVisionTransformer(
        img_size=config.image,
        patch_size=config.patch,
        embed_dim=config.dim,
        depth=config.dino_depth,
        num_heads=config.dino_heads,
        mlp_ratio=4,
        num_register_tokens=config.dino_registers,
        interpolate_antialias=True,
        interpolate_offset=0.0,
        block_chunks=0,
        init_values=1.0,
    )
    return import_module(f"{VENDORED}.models.vggt").VGGT(
        depth=config.depth, intermediate_layer_idx=list(config.levels)
    )


Parts = tuple[dict[str, Tensor], dict[str, float]]


def their_parts(network: nn.Module, images: Tensor) -> Parts:
    """The outputs, and the seconds of encoder and heads."""
    start = now(images.device.type)
    levels, special = network.aggregator(images)
    encoded = now(images.device.type)
    with torch.autocast(images.device.type, enabled=False):
        poses = network.camera_head(levels)[-1]
        depth, sure = network.depth_head(levels, images=images, patch_start_idx=special)
        points, _ = network.point_head(levels, images=images, patch_start_idx=special)
    out = {"poses": poses, "depth": depth[..., 0], "depth_confidence": sure, "points": points}
    return out, {"encoder": encoded - start, "heads": now(images.device.type) - encoded}


def our_parts(network: Vggt, images: Tensor) -> Parts:
    """As of theirs; `project`, which happens between the blocks, counts among the heads."""
    start = now(images.device.type)
    projecting = 0.0
    project = Dpt.project

    def timed(*arguments: Any) -> Tensor:
        nonlocal projecting
        begun = now(images.device.type)
        result = project(*arguments)
        projecting += now(images.device.type) - begun
        return result

    Dpt.project = timed  # type: ignore[method-assign]
    encoded = [0.0]
    handle = network.camera_head.register_forward_pre_hook(
        lambda *_: encoded.__setitem__(0, now(images.device.type))
    )
    out = network(images)
    end = now(images.device.type)
    Dpt.project = project  # type: ignore[method-assign]
    handle.remove()
    names = ("depth", "depth_confidence", "points")
    tensors = {"poses": out.poses[-1]} | {name: getattr(out, name) for name in names}
    encoder = encoded[0] - start - projecting
    return tensors, {"encoder": encoder, "heads": end - start - encoder}


def peak_of(side: str, bfloat16: bool) -> float:
    """Megabytes, measured by a process of its own."""
    command = [sys.executable, *sys.argv, "--peak", side, *(["--bfloat16"] if bfloat16 else [])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_of_one(options: argparse.Namespace, images: Tensor) -> float:
    """Megabytes that one pass takes beyond what there was before it."""
    theirs, ours = both(options)
    network: Callable[[Tensor], Any] = ours if options.peak == "ours" else theirs
    with torch.autocast(options.device, torch.bfloat16, enabled=options.bfloat16):
        network(images[:, :1, :, :28, :28])  # whatever is set up once
        return peak(lambda: network(images), options.device)


if __name__ == "__main__":
    main()
