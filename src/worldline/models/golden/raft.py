"""RAFT's golden vectors."""

from dataclasses import replace
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from worldline.models.golden.vectors import Golden, Recorder, strict_load
from worldline.models.raft import PUBLISHED, Raft, renamed

WARM = (1.5, -0.75)  # the start of the second run, in pixels of the features


def run(golden: Golden) -> dict[str, Tensor]:
    """All iterations, the first alone, and two from a start."""
    kind = "raft-small" if golden.config["small"] else "raft-basic"
    levels, radius = golden.config["corr_levels"], golden.config["corr_radius"]
    network = Raft(replace(PUBLISHED[kind], levels=levels, radius=radius))
    weights = {renamed(name): tensor for name, tensor in golden.weights.items()}
    strict_load(network, weights or made_weights(network, golden))
    first, second = golden.inputs["image1"].float(), golden.inputs["image2"].float()
    recorder = recorded(network)
    whole = network(first, second, golden.config["iters"])
    found = dict(recorder.tensors)
    warm = torch.tensor(WARM)[None, :, None, None].expand_as(whole.coarse)
    found |= {
        "out.flow_low": whole.coarse,
        "out.flow_up": whole.flow,
        "out.flow_up_iter1": network(first, second, 1).flow,
        "out.warm_flow_low": network(first, second, 2, warm).coarse,
    }
    found["mid.fmap1"], found["mid.fmap2"] = found.pop("fmaps").chunk(2)
    found |= first_weights(network, golden)
    return {name: stored(tensor, golden.expected.get(name)) for name, tensor in found.items()}


def recorded(network: Raft) -> Recorder:
    """Keeps what the vectors hold of the first iteration."""
    recorder = Recorder()
    recorder.record(network.fnet, "fmaps")
    recorder.record(network.cnet, "mid.cnet")
    recorder.record(network.update_block.gru, "mid.gru")
    encoder = network.update_block.encoder
    recorder.record(encoder, "mid.motion_encoder")
    encoder.register_forward_pre_hook(lambda _, inputs: recorder.keep("mid.corr0", inputs[1]))
    return recorder


def stored(tensor: Tensor, expected: Tensor | None) -> Tensor:
    """As many channels of an activation as the file holds."""
    if expected is None or tensor.ndim != 4:
        return tensor
    return tensor[:, : expected.shape[1]]


def made_weights(network: Raft, golden: Golden) -> dict[str, Tensor]:
    """The weights that the description gives by a formula, under our names."""
    weights = network.state_dict()
    seed = golden.description["weights_formula_seed"]
    for name, (offset, scale) in golden.description["weights_table_offset_scale"].items():
        first_name = name.replace(".norm3.", ".downsample.1.")  # of a tensor that has two
        shape = weights[renamed(name)].shape
        weights[renamed(name)] = hashed(f"{seed}:{first_name}", shape, offset, scale)
    return weights


def hashed(key: str, shape: torch.Size, offset: float, scale: float) -> Tensor:
    """Evenly spread in offset ± scale: an integer hash of the index, seeded by that of the key."""
    seed = np.uint32(crc32(key.encode()))
    x = np.arange(shape.numel(), dtype=np.uint32) * np.uint32(2654435761) + seed
    x = np.bitwise_xor(x, x >> 16) * np.uint32(0x85EBCA6B)
    x = np.bitwise_xor(x, x >> 13) * np.uint32(0xC2B2AE35)
    spread = np.bitwise_xor(x, x >> 16) / 2**32
    values = (offset + scale * (2 * spread - 1)).astype(np.float16).astype(np.float32)
    return torch.from_numpy(values).view(shape)


def first_weights(network: Raft, golden: Golden) -> dict[str, Tensor]:
    """The first values of every weight of which the file holds them."""
    start, weights = "mid.w_check.", network.state_dict()
    names = [name for name in golden.expected if name.startswith(start)]
    return {name: weights[renamed(name.removeprefix(start))].flatten()[:8] for name in names}
