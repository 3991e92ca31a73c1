"""Golden vectors of V-DPM."""

from dataclasses import asdict

import torch
from torch import Tensor

from worldline.models.golden.vectors import Golden, Recorder, strict_load
from worldline.models.golden.vggt import aggregator_config
from worldline.models.vdpm import Vdpm, VdpmConfig, renamed


def run(golden: Golden) -> dict[str, Tensor]:
    """Every tensor of the vectors, under its name there."""
    network = Vdpm(config_of(golden))
    strict_load(network, {renamed(name): tensor for name, tensor in golden.weights.items()})
    blocks, record = network.aggregator, Recorder()
    for place, i in (("first", 0), ("last", -1)):
        record.record(blocks.frame_blocks[i], f"{place}.within")
        record.record(blocks.global_blocks[i], f"{place}.across")
    encoded = network.encode(golden.inputs["images"])
    batch, frames = encoded.last.shape[:2]
    decoder = Recorder()
    decoder.record(network.decoder, "level")
    mixed = golden.expected["mid.mixed_cond_view_idxs"]
    cases = {f"t{i}": torch.full((batch, frames), i) for i in golden.config["cond"]}
    out = {"out.pose_enc_list": network.cameras(encoded), "mid.mixed_cond_view_idxs": mixed}
    for i, (case, targets) in enumerate((cases | {"mixed": mixed.long()}).items()):
        points, confidence = network.decode(encoded, targets)
        out |= {f"out.{case}.pts3d": points, f"out.{case}.conf": confidence}
        levels = list(decoder.tensors.values())[i * len(encoded.levels) :]
        out |= {f"mid.decoded.{case}.{k}": level for k, level in enumerate(levels)}
    points, confidence = network.own_time(encoded)
    out |= {"out.static.pts3d": points, "out.static.conf": confidence}
    for place in ("first", "last"):
        halves = [record.tensors[f"{place}.{half}"] for half in ("within", "across")]
        shape = (batch, frames, -1, halves[0].shape[-1])
        out[f"mid.tokens_{place}"] = torch.cat([half.reshape(shape) for half in halves], dim=-1)
    return out


def config_of(golden: Golden) -> VdpmConfig:
    """The sizes of the instance."""
    return VdpmConfig(
        **asdict(aggregator_config(golden)),
        decoder_depth=golden.config["vdpm_decoder_depth"],
        decoder_heads=golden.config["vdpm_decoder_heads"],
    )
