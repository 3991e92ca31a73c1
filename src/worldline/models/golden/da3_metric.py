"""The metric and the monocular model of Depth Anything 3."""

from torch import Tensor

from worldline.models.da3 import DA3Mono, DA3MonoConfig, renamed, sky_put_away
from worldline.models.golden.vectors import Golden, strict_load


def run(golden: Golden) -> dict[str, Tensor]:
    """Depth and sky, and depth with the sky put away."""
    sizes, images = golden.config, golden.inputs["images"]
    network = DA3Mono(
        DA3MonoConfig(
            dim=sizes["embed_dim"],
            depth=sizes["depth"],
            heads=sizes["num_heads"],
            levels=tuple(sizes["out_layers"]),
            features=sizes["features"],
            channels=tuple(sizes["out_channels"]),
            swiglu="swiglu" in sizes["ffn"].lower(),
        )
    )
    strict_load(network, {str(renamed(name)): t for name, t in golden.weights.items()})
    ours: dict[str, Tensor] = {}
    x = network.backbone.embed(images.flatten(0, 1))
    for i, block in enumerate(network.backbone.blocks):
        x = block(x)
        if i in sizes["out_layers"]:
            name = f"mid.feat{sizes['out_layers'].index(i)}.patch"
            ours[name] = network.backbone.norm(x[:, 1:])[None]
    depth, sky = (part.unflatten(0, images.shape[:2]) for part in network(images.flatten(0, 1)))
    ours |= {"out.depth": depth, "out.sky": sky, "out.depth_after_sky": sky_put_away(depth, sky)}
    return ours
