"""Golden vectors of VGGT."""

from dataclasses import asdict
from math import isqrt

from torch import Tensor

from worldline.models.golden.vectors import Golden, Recorder, strict_load
from worldline.models.vggt import AggregatorConfig, Vggt, VggtConfig, cameras_of, renamed


def run(golden: Golden) -> dict[str, Tensor]:
    """Every tensor of the vectors, under its name there."""
    network = Vggt(config_of(golden))
    strict_load(network, {renamed(name): tensor for name, tensor in golden.weights.items()})
    record = recorded(network)
    images, queries = golden.inputs["images"], golden.inputs["query_points"]
    out = network(images, queries)
    motion, intrinsics = cameras_of(out.poses[-1], (images.shape[-2], images.shape[-1]))
    dino = network.aggregator.patch_embed
    last = record.tensors[f"mid.dino.block{len(dino.blocks) - 1}"]
    record.keep("mid.dino.norm", dino.norm(last))  # the network normalises the patches alone
    return record.tensors | {
        "out.pose_enc_list": out.poses,
        "out.extrinsics_w2c": motion,
        "out.intrinsics": intrinsics,
        "out.depth": out.depth[..., None],
        "out.depth_conf": out.depth_confidence,
        "out.world_points": out.points,
        "out.world_points_conf": out.points_confidence,
        "out.track_list": out.tracks,
        "out.track_vis": out.visible,
        "out.track_conf": out.sure,
    }


def config_of(golden: Golden) -> VggtConfig:
    """The sizes of the instance."""
    config, weights = golden.config, golden.weights
    virtual = weights["track_head.tracker.updateformer.virual_tracks"].shape[1]
    return VggtConfig(
        **asdict(aggregator_config(golden)),
        track_features=config["track_features"],
        track_hidden=config["track_hidden"],
        track_depth=config["track_depth"],
        track_virtual=virtual,
        track_levels=config["corr_levels"],
        track_radius=config["corr_radius"],
        track_iterations=config["track_iters"],
    )


def aggregator_config(golden: Golden) -> AggregatorConfig:
    """The sizes that all networks of the family have."""
    config, weights = golden.config, golden.weights
    patch = weights["aggregator.patch_embed.patch_embed.proj.weight"].shape[-1]
    positions = weights["aggregator.patch_embed.pos_embed"].shape[1] - 1
    return AggregatorConfig(
        dim=config["embed_dim"],
        depth=config["depth"],
        heads=config["num_heads"],
        registers=weights["aggregator.register_token"].shape[2],
        dino_depth=config["dino_depth"],
        dino_heads=config["dino_heads"],
        dino_registers=weights["aggregator.patch_embed.register_tokens"].shape[1],
        levels=tuple(config["idx"]),
        features=config["features"],
        channels=tuple(config["out_channels"]),
        camera_depth=config["cam_depth"],
        camera_heads=config["cam_heads"],
        patch=patch,
        image=isqrt(positions) * patch,
    )


def recorded(network: Vggt) -> Recorder:
    """Keeps the activations of a network as it runs."""
    record, trunk = Recorder(), network.aggregator
    record.record(trunk.patch_embed.patch_embed, "mid.dino.patch_embed")
    for i, block in enumerate(trunk.patch_embed.blocks):
        record.record(block, f"mid.dino.block{i}")
    for i, (within, across) in enumerate(zip(trunk.frame_blocks, trunk.global_blocks, strict=True)):
        record.record(within, f"mid.frame_block{i}")
        record.record(across, f"mid.global_block{i}")
    record.record(network.camera_head.trunk, "mid.camera_head.trunk")
    head, tracks = network.depth_head, network.track_head
    for i, layer in enumerate(head.projects):
        record.record(layer, f"mid.depth_head.projects{i}")
    for name in ("layer1_rn", "refinenet4", "refinenet3"):
        record.record(head.scratch.get_submodule(name), f"mid.depth_head.{name}")
    refined = head.scratch.output_conv1
    record.record(refined, "mid.depth_head.output_conv1", lambda out: out[:1])
    record.record(tracks.tracker.updateformer, "mid.track.update0")
    tracks.tracker.register_forward_pre_hook(
        lambda _module, inputs: record.keep("mid.track.features", inputs[0][:, :1])
    )
    return record
