"""4RC: geometry, cameras and motion."""

from typing import Any

import torch
from torch import Tensor

from worldline.geometry.pose_encoding import decode_camera, inverse_motion
from worldline.models.fourrc import FourRC, FourRCConfig, renamed, world_points
from worldline.models.golden.da3 import first_frame, levels, record_head
from worldline.models.golden.vectors import Golden, Recorder, strict_load


def run(golden: Golden) -> dict[str, Tensor]:
    """All outputs and activations; images come in [-1,1] and go in in [0,1]."""
    network, images = build(golden), golden.inputs["images"] / 2 + 0.5
    queries = golden.inputs["track_query_idx"].tolist()
    recorder = Recorder()
    handles = record(network, recorder)
    latent, views = network.encode(images, coarse_rays=True)
    frames, size = range(images.shape[1]), latent.size
    asked = [network.displacement(latent, [q], frames, pairs=len(frames)) for q in queries]
    for handle in handles:
        handle.remove()
    tracks = torch.cat([a.points for a in asked], dim=1)  # [1,Q,S,H,W,3]
    points = world_points(views)
    motion, intrinsics = decode_camera(views.cameras, size)
    geometry = views.geometry
    ours = {
        "depth": geometry.depth,
        "depth_conf": geometry.depth_confidence,
        "ray": geometry.ray,
        "ray_conf": geometry.ray_confidence,
        "pose_enc": views.cameras,
        "c2w": motion,
        "w2c": inverse_motion(motion),
        "intrinsics": intrinsics,
        "track_multi": tracks,
        "conf_track_multi": torch.cat([a.confidence for a in asked], dim=1),
        "world_points": points,
        "world_track": (tracks + points[:, queries, None]).transpose(1, 2),
        "post_extrinsic_c2w": _square(motion[0]),
        "post_intrinsic": intrinsics[0],
    }
    for i, (ray, confidence) in enumerate(geometry.coarse):
        ours |= {f"ray_level{i}": ray, f"ray_conf_level{i}": confidence}
    ours = {f"out.{name}": tensor for name, tensor in ours.items()}
    return ours | levels(network.backbone, images) | recorder.tensors


def build(golden: Golden) -> FourRC:
    """The instance, with its weights."""
    sizes = golden.config
    network = FourRC(
        FourRCConfig(
            dim=sizes["embed_dim"],
            depth=sizes["depth"],
            heads=sizes["num_heads"],
            alternate_from=sizes["alt_start"],
            qk_norm_from=sizes["qknorm_start"],
            rope_from=sizes["rope_start"],
            levels=tuple(sizes["out_layers"]),
            features=sizes["features"],
            channels=tuple(sizes["out_channels"]),
            motion_depth=sizes["motion_depth"],
            motion_heads=sizes["motion_heads"],
            swiglu="swiglu" in sizes["ffn"].lower(),
        )
    )
    strict_load(network, {str(renamed(name)): t for name, t in golden.weights.items()})
    return network


def record(network: FourRC, recorder: Recorder) -> list[Any]:
    """Keep the activations that a file can hold."""
    handles = [
        recorder.record(network.backbone.patch_embed, "mid.patch_embed"),
        recorder.record(network.cam_dec.backbone, "mid.cam_dec.backbone", _frames_first),
        recorder.record(network.motion_decoder, "mid.motion.out", _one_query),
        recorder.record(
            network.track_head.scratch.output_conv1, "mid.track_head.output_conv1", first_frame
        ),
        *record_head(network.head, recorder),
    ]
    for i, block in enumerate(network.backbone.blocks):
        handles.append(recorder.record(block, f"mid.block{i}"))
    for i, block in enumerate(network.motion_decoder.cross_blocks):
        handles.append(recorder.record(block, f"mid.motion.cross{i}"))
    for i, block in enumerate(network.motion_decoder.self_blocks):
        handles.append(recorder.record(block, f"mid.motion.self{i}"))
    return handles


def _frames_first(x: Tensor) -> Tensor:
    return x.flatten(0, -2)


def _one_query(x: Tensor) -> Tensor:
    """[T,1,P1,C] of one query at all times as [1,T,P1,C]."""
    return x.transpose(0, 1)


def _square(motion: Tensor) -> Tensor:
    """Motions [S,3,4] as [S,4,4]."""
    last = motion.new_tensor([0.0, 0, 0, 1]).expand(len(motion), 1, 4)
    return torch.cat([motion, last], dim=1)
