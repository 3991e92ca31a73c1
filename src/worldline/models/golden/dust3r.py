"""DUSt3R's golden vectors, of either head."""

from typing import Any

from torch import Tensor

from worldline.models.dust3r import Dust3r, Dust3rConfig, renamed
from worldline.models.golden.vectors import Golden, Recorder, strict_load
from worldline.nn.dpt import Dpt


def run(golden: Golden) -> dict[str, Tensor]:
    """Every tensor of the file, by the instance that it describes."""
    network = Dust3r(_config(golden.config))
    weights = {renamed(name): tensor for name, tensor in golden.weights.items()}
    strict_load(network, {name: tensor for name, tensor in weights.items() if name is not None})
    recorder = _recorder(network)
    first, second = network(golden.inputs["img1"], golden.inputs["img2"])
    return {
        **recorder.tensors,
        "out.pts3d_1": first.points,
        "out.conf_1": first.confidence,
        "out.pts3d_2": second.points,
        "out.conf_2": second.confidence,
    }


def _config(said: dict[str, Any]) -> Dust3rConfig:
    return Dust3rConfig(
        head=said["head_type"],
        patch=said["patch_size"],
        enc_dim=said["enc_embed_dim"],
        enc_depth=said["enc_depth"],
        enc_heads=said["enc_num_heads"],
        dec_dim=said["dec_embed_dim"],
        dec_depth=said["dec_depth"],
        dec_heads=said["dec_num_heads"],
        hooks=tuple(said["dpt_hooks"]),
        dpt_features=said["feature_dim"],
        dpt_read_off=said["last_dim"],
        dpt_channels=tuple(said["layer_dims"]),
    )


def _recorder(network: Dust3r) -> Recorder:
    recorder = Recorder()
    recorder.record(network.patch_embed, "mid.patch_embed")
    recorder.record(network.enc_norm, "mid.enc_norm")
    recorder.record(network.decoder_embed, "mid.decoder_embed")
    recorder.record(network.dec_norm, "mid.dec_norm")
    lists = {
        "mid.enc_block": network.enc_blocks,
        "mid.dec_block": network.dec_blocks,
        "mid.dec_blocks2_": network.dec_blocks2,
    }
    for name, blocks in lists.items():
        for i, block in enumerate(blocks):
            recorder.record(block, f"{name}{i}")
    for k, head in enumerate((network.downstream_head1, network.downstream_head2), start=1):
        if isinstance(head, Dpt):
            for i, layer in enumerate(head.resize_layers):
                recorder.record(layer, f"mid.head{k}.act_postprocess{i}")
            for i in range(1, 5):
                fusion = head.scratch.get_submodule(f"refinenet{i}")
                recorder.record(fusion, f"mid.head{k}.refinenet{i}")
    return recorder
