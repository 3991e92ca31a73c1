"""The any-view model of Depth Anything 3."""

from typing import Any

import torch
from torch import Tensor

from worldline.geometry.pose_encoding import decode_camera, encode_camera, inverse_motion
from worldline.models.da3 import DA3, DA3Config, DA3Views, renamed
from worldline.models.golden.vectors import Golden, Recorder, strict_load
from worldline.nn.anyview import AnyView, Level, balance


def run(golden: Golden) -> dict[str, Tensor]:
    """All modes; the activations are those of the default one."""
    network, images = build(golden), golden.inputs["images"]
    size = (images.shape[-2], images.shape[-1])
    recorder = Recorder()
    handles = record(network, recorder)
    ours = outputs("default", network(images))
    ours |= levels(network.backbone, images)
    ours |= recorder.tensors
    for handle in handles:
        handle.remove()
    ours |= outputs("first", network(images, reference="first"))
    ours |= outputs("two", network(images[:, :2]))
    cameras = inverse_motion(golden.inputs["extrinsics"][..., :3, :]), golden.inputs["intrinsics"]
    encoding = encode_camera(*cameras, size)
    ours |= outputs("posed", network(images, cameras))
    token = network.cam_enc(encoding)
    return ours | {"out.posed.cam_token": token, "mid.cam_enc.pose_encoding": encoding}


def build(golden: Golden) -> DA3:
    """The instance, with its weights."""
    sizes = golden.config
    network = DA3(
        DA3Config(
            dim=sizes["embed_dim"],
            depth=sizes["depth"],
            heads=sizes["num_heads"],
            alternate_from=sizes["alt_start"],
            qk_norm_from=sizes.get("qknorm_start", sizes["alt_start"]),
            rope_from=sizes.get("rope_start", sizes["alt_start"]),
            levels=tuple(sizes["out_layers"]),
            features=sizes["features"],
            channels=tuple(sizes["out_channels"]),
            swiglu="swiglu" in sizes["ffn"].lower(),
            camera_depth=sizes["enc_depth"],
            camera_heads=sizes["enc_heads"],
        )
    )
    strict_load(network, {str(renamed(name)): t for name, t in golden.weights.items()})
    return network


def record(network: DA3, recorder: Recorder) -> list[Any]:
    """Keep the activations that a file can hold."""
    backbone, head = network.backbone, network.head
    handles = [recorder.record(backbone.patch_embed, "mid.patch_embed")]
    for i, block in enumerate(backbone.blocks):
        handles.append(recorder.record(block, f"mid.block{i}"))
    handles += record_head(head, recorder)

    def selection(_block: torch.nn.Module, _inputs: Any, x: Tensor) -> None:
        recorder.keep("mid.refsel.scores", balance(x[None, :, 0]))  # one clip: S sequences

    before = backbone.blocks[backbone.plan.alternate_from - 2]
    return [*handles, before.register_forward_hook(selection)]


def record_head(head: torch.nn.Module, recorder: Recorder) -> list[Any]:
    """Keep the activations of a Dual-DPT."""
    handles = []
    for i in range(4):
        handles.append(
            recorder.record(head.get_submodule(f"projects.{i}"), f"mid.head.projects{i}")
        )
        resize = head.get_submodule(f"resize_layers.{i}")
        handles.append(recorder.record(resize, f"mid.head.resize{i}"))
    for name in ("refinenet4", "refinenet4_aux", "refinenet3", "refinenet3_aux"):
        module = head.get_submodule(f"scratch.{name}")
        handles.append(recorder.record(module, f"mid.head.{name}"))
    module = head.get_submodule("scratch.output_conv1")
    handles.append(recorder.record(module, "mid.head.output_conv1", first_frame))
    return handles


def first_frame(x: Tensor) -> Tensor:
    """Of maps of all frames."""
    return x[:1]


def levels(backbone: AnyView, images: Tensor) -> dict[str, Tensor]:
    """The levels as files hold them."""

    def read(number: int, level: Level) -> dict[str, Tensor]:
        patches = torch.cat([level.local, level.mixed], dim=-1)
        named = {"patch": patches, "camera": level.camera, "time": level.time}
        return {f"mid.feat{number}.{k}": t for k, t in named.items() if t is not None}

    reference = "first" if backbone.plan.time_token else "balanced"
    return {k: t for part in backbone(images, read, None, reference) for k, t in part.items()}


def outputs(mode: str, views: DA3Views) -> dict[str, Tensor]:
    """What the model says, under the file's names."""
    geometry = views.geometry
    c2w, intrinsics = decode_camera(
        views.cameras, (geometry.depth.shape[-2], geometry.depth.shape[-1])
    )
    named = {
        "depth": geometry.depth,
        "depth_conf": geometry.depth_confidence,
        "ray": geometry.ray,
        "ray_conf": geometry.ray_confidence,
        "pose_enc": views.cameras,
        "c2w": c2w,
        "w2c": inverse_motion(c2w),
        "intrinsics": intrinsics,
    }
    return {f"out.{mode}.{name}": tensor for name, tensor in named.items()}
