"""How long RAFT and SEA-RAFT take: ours beside the published code, in one run, on equal weights.

    python benchmarks/flow_networks.py --raft DIR --searaft DIR    # checkouts of princeton-vl's

Theirs needs scipy, and SEA-RAFT's huggingface_hub. The weights are random. Runs take turns, and a
ratio is the median of those of neighbours: above 1 where ours is sooner. Precision `bfloat16` is
with the weights cast (ours alone), `autocast` with torch's; how far a flow is from that of theirs
in float32 is the mean over pixels, in pixels and as a share of the mean flow. A `video` is each of
four frames with its neighbours, both ways, in ours encoded once. On a CPU, seconds are those that
the process computed in all its threads: with `--threads 1` they are right beside other work.
"""

import argparse
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

from side_by_side import in_bfloat16, peak
from worldline.models import raft, searaft
from worldline.models.flow import FlowNetwork

NETWORKS = ("raft-small", "raft-basic", "searaft-s", "searaft-m")
Run = Callable[[], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raft", type=Path)
    parser.add_argument("--searaft", type=Path)
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--size", type=int, nargs=2, default=(288, 384), help="height and width")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peak", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.networks:
        checkout = options.raft if name.startswith("raft") else options.searaft
        if checkout is not None:
            measure(name, checkout, options)


@torch.no_grad()
def measure(name: str, checkout: Path, options: Namespace) -> None:
    theirs, ours = pair(name, checkout, options.device)
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (4, *options.size, 3), dtype=torch.uint8, generator=generator)
    frames = frames.to(options.device)
    runs = {
        ("ours", "float32"): lambda: ours.flow(frames[:1], frames[1:2]).flow,
        ("theirs", "float32"): lambda: published(theirs, frames[0], frames[1]),
    }
    if options.peak:
        print(peak(runs[options.peak, "float32"], options.device))
        return
    count = ours.config.iterations
    print(f"{name}, {count} iterations, {options.size[1]} x {options.size[0]} px:")
    _, half = pair(name, checkout, options.device)
    half.to(torch.bfloat16)
    runs["ours", "bfloat16"] = lambda: half.flow(frames[:1], frames[1:2]).flow
    for side in ("ours", "theirs"):
        runs[side, "autocast"] = in_bfloat16(runs[side, "float32"], options.device)
    report(runs, options.repeats, options.device)
    steps = [(i, i + d) for i in range(4) for d in (-1, 1) if 0 <= i + d < 4]
    video = {
        ("ours", "video"): lambda: ours.match(ours.encode(frames), torch.tensor(steps)).flow,
        ("theirs", "video"): lambda: torch.cat(
            [published(theirs, frames[i], frames[j]) for i, j in steps]
        ),
    }
    report(video, max(1, options.repeats // 2), options.device)
    sides = {side: child(name, side, options) for side in ("ours", "theirs")}
    print(f"  peak memory: ours {sides['ours']:.0f} MB, theirs {sides['theirs']:.0f} MB")


def report(runs: dict[tuple[str, str], Run], repeats: int, device: str) -> None:
    """Seconds of all runs, their ratios to theirs in the same round, and how far the flows are."""
    rounds = []
    for _ in range(repeats + 1):  # the first warms up
        rounds.append({key: timed(run, device) for key, run in runs.items()})
    reference = next(key for key in runs if key[0] == "theirs")
    truth = rounds[0][reference][1]
    scale = truth.norm(dim=-1).mean()
    for (side, precision), _ in runs.items():
        seconds = [taken[side, precision][0] for taken in rounds[1:]]
        ratios = [taken[reference][0] / taken[side, precision][0] for taken in rounds[1:]]
        gap = (rounds[0][side, precision][1].float() - truth).norm(dim=-1).mean()
        print(
            f"  {side:6} {precision:8}: {min(seconds):7.3f} s, {statistics.median(ratios):5.2f} "
            f"times as fast; off by {gap:.2g} px ({gap / scale:.2g} of the flow)"
        )


def timed(run: Run, device: str) -> tuple[float, Tensor]:
    """Seconds, and the flow."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    flow = run()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - start, flow


def child(name: str, side: str, options: Namespace) -> float:
    """The peak memory of one side, in a process of its own."""
    command = [sys.executable, __file__, "--networks", name, "--peak", side]
    command += ["--size", *map(str, options.size), "--device", options.device]
    for switch in ("raft", "searaft"):
        if getattr(options, switch):
            command += [f"--{switch}", str(getattr(options, switch))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def pair(name: str, checkout: Path, device: str) -> tuple[nn.Module, FlowNetwork]:
    """Theirs and ours with the same random weights."""
    torch.manual_seed(0)
    module = raft if name.startswith("raft") else searaft
    config = module.PUBLISHED[name]
    ours: FlowNetwork = raft.Raft(config) if module is raft else searaft.SeaRaft(config)
    theirs = (their_raft if module is raft else their_searaft)(checkout, config)
    for key, parameter in theirs.named_parameters():
        if key.endswith("gamma"):
            parameter.data.fill_(0.1)
    ours.load_state_dict({module.renamed(key): t for key, t in theirs.state_dict().items()})
    return theirs.to(device).eval(), ours.to(device).eval()


def their_raft(checkout: Path, config: raft.RaftConfig) -> nn.Module:
    network = fresh(checkout, "raft").RAFT(Namespace(small=config.small, mixed_precision=False))
    network.iterations = config.iterations
    return network


def their_searaft(checkout: Path, config: searaft.SeaRaftConfig) -> nn.Module:
    module = fresh(checkout, "raft")
    sys.modules["extractor"].ResNetFPN._init_weights = lambda *_: None  # type: ignore[attr-defined]
    network = module.RAFT(
        Namespace(
            pretrain="resnet18" if config.depths == (2, 2, 2) else "resnet34",
            initial_dim=config.stem,
            block_dims=list(config.widths),
            radius=config.radius,
            dim=config.dim,
            num_blocks=config.refinements,
            iters=config.iterations,
        )
    )
    network.iterations = config.iterations
    return network


def fresh(checkout: Path, name: str):
    """A module of a checkout; the two have modules of the same names."""
    for other in ("raft", "update", "extractor", "corr", "layer", "utils", "utils.utils"):
        sys.modules.pop(other, None)
    sys.path.insert(0, str(checkout / "core"))
    try:
        return import_module(name)
    finally:
        sys.path.pop(0)


def published(network: nn.Module, first: Tensor, second: Tensor) -> Tensor:
    """Flow [1, H, W, 2] by the published code."""
    images = [frame.permute(2, 0, 1)[None].float() for frame in (first, second)]
    found = network(*images, iters=network.iterations, test_mode=True)
    flow = found["final"] if isinstance(found, dict) else found[1]
    return flow.permute(0, 2, 3, 1)


if __name__ == "__main__":
    main()
