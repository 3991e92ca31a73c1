"""SEA-RAFT's golden vectors."""

from torch import Tensor

from worldline.models.golden.vectors import Golden, Recorder, strict_load
from worldline.models.searaft import SeaRaft, SeaRaftConfig, renamed

DEPTHS = {"resnet18": (2, 2, 2), "resnet34": (3, 4, 6)}


def run(golden: Golden) -> dict[str, Tensor]:
    """All iterations; what is regressed at first, alone."""
    network = SeaRaft(config(golden))
    strict_load(network, {renamed(name): tensor for name, tensor in golden.weights.items()})
    recorder = Recorder()
    recorder.record(network.cnet, "mid.cnet")
    recorder.record(network.fnet, "fmaps")
    recorder.record(network.init_conv, "mid.init_conv")
    recorder.record(network.update_block, "mid.update")
    recorder.record(network.update_block.encoder, "mid.motion_encoder")
    first, second = golden.inputs["image1"].float(), golden.inputs["image2"].float()
    flow, _, mixture = network(first, second)
    found = dict(recorder.tensors)
    found["mid.fnet"], found["mid.fnet@call1"] = found.pop("fmaps").chunk(2)
    assert mixture is not None
    regressed = network(first, second, 0).flow
    return found | {"out.flow_final": flow, "out.info_final": mixture, "out.flow_0": regressed}


def config(golden: Golden) -> SeaRaftConfig:
    """The sizes of the instance, from its published arguments."""
    given = golden.config
    return SeaRaftConfig(
        levels=given["corr_levels"],
        radius=given["radius"],
        iterations=given["iters"],
        stem=given["initial_dim"],
        widths=tuple(given["block_dims"]),
        depths=DEPTHS[given["pretrain"]],
        dim=given["dim"],
        refinements=given["num_blocks"],
    )
