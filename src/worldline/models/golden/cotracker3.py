"""CoTracker3: offline, online over a whole video and over pieces of it, and for users."""

from dataclasses import replace

import torch
from torch import Tensor

from worldline.models.cotracker3 import CoTracker3, CoTracker3Config, Tracks, renamed
from worldline.models.cotracker3_online import Stream
from worldline.models.cotracker3_tracking import PointTracks, context_grid, track
from worldline.models.golden.vectors import Golden, Recorder, strict_load


def run(golden: Golden) -> dict[str, Tensor]:
    """All that a file of CoTracker3 holds; activations are those of the offline run."""
    network = build(golden)
    video, queries = golden.inputs["video"].float(), golden.inputs["queries"]
    iterations = golden.config["iters"]
    recorder = Recorder()
    handles = record(network, recorder)
    ours = named("offline", network(video, queries, iterations))
    for handle in handles:
        handle.remove()
    virtual, real = (recorder.tensors.pop(name) for name in ("virtual", "virtual@call1"))
    virtual = virtual.expand(-1, real.shape[1], -1)
    ours |= recorder.tensors | {"mid.time_block0": torch.cat([real, virtual])}
    ours["out.offline.tracks_iter1"] = network(video, queries, 1).xy
    network.config = replace(network.config, online=True)
    for name, piece in (("online_sliding", video.shape[1]), ("online_stream", 1)):
        ours |= named(name, streamed(network, video, queries, iterations, piece))
    network.config = replace(network.config, online=False)
    return ours | predictors(network, golden)


def build(golden: Golden) -> CoTracker3:
    """The instance, with its weights."""
    sizes = golden.config
    height, width = sizes["model_resolution"]
    network = CoTracker3(
        CoTracker3Config(
            window=sizes["window_len"],
            resolution=(height, width),
            stride=sizes["stride"],
            latent=sizes["latent_dim"],
            levels=sizes["corr_levels"],
            radius=sizes["corr_radius"],
            correlation_hidden=sizes["corr_hidden"],
            correlation_width=sizes["corr_out"],
            width=sizes["hidden_size"],
            heads=sizes["heads"],
            mlp_ratio=sizes["mlp_ratio"],
            time_depth=sizes["time_depth"],
            space_depth=sizes["space_depth"],
            virtual_tracks=sizes["num_virtual_tracks"],
        )
    )
    strict_load(network, {str(renamed(name)): t for name, t in golden.weights.items()})
    return network


def record(network: CoTracker3, recorder: Recorder) -> list[torch.utils.hooks.RemovableHandle]:
    """Keep the activations that a file can hold; of correlations, frames come first there."""
    return [
        recorder.record(network.fnet, "mid.fnet", lambda out: out[:2]),
        recorder.record(
            network.corr_mlp, "mid.corr_mlp", lambda out: out.transpose(1, 2).flatten(0, 2)
        ),
        recorder.record(network.updateformer.time_blocks[0], "virtual"),  # then of real tracks
        recorder.record(network.updateformer, "mid.updateformer"),
    ]


def named(name: str, tracks: Tracks) -> dict[str, Tensor]:
    """Tracks under the names of a file."""
    tensors = zip(("tracks", "vis", "conf"), tracks, strict=True)
    return {f"out.{name}.{key}": tensor for key, tensor in tensors}


def streamed(
    network: CoTracker3, video: Tensor, queries: Tensor, iterations: int, piece: int
) -> Tracks:
    """The online network, given so many frames at a time."""
    stream = Stream(network, queries, iterations)
    for part in video.split(piece, dim=1):
        stream.push(part)
    return stream.finish().tracks(network.config.stride)


def predictors(network: CoTracker3, golden: Golden) -> dict[str, Tensor]:
    """Points of the file, forwards only and both ways, and a grid without further points."""
    context = golden.config["support_grid_size_in_predictor"]
    frames = golden.inputs["predictor_video"][0].permute(0, 2, 3, 1)
    queries = golden.inputs["predictor_queries"][0] + torch.tensor([0, 0.5, 0.5])
    height, width = network.config.resolution
    grid = context_grid(3, network.config.resolution) / torch.tensor([width - 1, height - 1])
    grid = grid * torch.tensor([frames.shape[2] - 1, frames.shape[1] - 1]) + 0.5
    grid = torch.cat([torch.full_like(grid[:, :1], 2), grid], dim=1)
    followed = {
        "predictor": track(network, frames, queries, context=context),
        "predictor_backward": track(network, frames, queries, context=context, backward=True),
        "predictor_grid": track(network, frames, grid, context=0),
    }
    return {name: t for key, tracks in followed.items() for name, t in published(key, tracks)}


def published(name: str, tracks: PointTracks) -> list[tuple[str, Tensor]]:
    """Frames first, in a batch, and the centre of the first pixel at (0, 0)."""
    xy, visible = (tensor.transpose(0, 1)[None] for tensor in tracks[:2])
    return [(f"out.{name}.tracks", xy - 0.5), (f"out.{name}.vis", visible)]
