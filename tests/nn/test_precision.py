"""Protects half precision: matrix products alone are halved, with little deviation."""

import torch

from worldline.nn.precision import halve
from worldline.nn.rope import patch_positions, rotation
from worldline.nn.transformer import AdaLNBlock, Block, CrossBlock


def deep(count: int = 24) -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(*(Block(64, 4, qk_norm=True, layer_scale=1.0) for _ in range(count)))


def test_the_sum_of_the_branches_keeps_its_precision():
    x = torch.randn(2, 12, 64)
    whole, halved, cast = deep(), deep(), deep()
    halve(halved, torch.bfloat16)
    cast.bfloat16()
    truth = whole(x)
    assert halved(x).dtype == torch.float32
    ours, plain = (halved(x) - truth).norm(), (cast(x.bfloat16()).float() - truth).norm()
    assert ours < 0.6 * plain and ours < 0.02 * truth.norm()


def test_norms_and_factors_are_left_alone_and_products_are_not():
    block = Block(16, 2, qk_norm=True, swiglu=True)
    halve(block, torch.bfloat16)
    assert block.norm1.weight.dtype == block.ls1.gamma.dtype == torch.float32
    assert block.attn.qkv.weight.dtype == block.attn.q_norm.weight.dtype == torch.bfloat16
    assert block.mlp.w12.weight.dtype == torch.bfloat16


def test_blocks_that_look_across_and_obey_conditions_take_it_too():
    torch.manual_seed(0)
    cross, alone = CrossBlock(16, 2), AdaLNBlock(16, 2)
    x, y, time = torch.randn(1, 5, 16), torch.randn(1, 4, 16), torch.randn(1, 16)
    turn = rotation(patch_positions(1, 4), 8)
    truth = alone(cross(x, cross.memory(y, turn)), time)
    for block in (cross, alone):
        halve(block, torch.bfloat16)
    halved = alone(cross(x, cross.memory(y, turn)), time)
    assert halved.dtype == torch.float32 and (halved - truth).abs().max() < 0.01
