"""Protects what every network rests on: rotary positions, attention, and the blocks' identities."""

import pytest
import torch

from worldline.nn.attention import Attention, CrossAttention
from worldline.nn.dpt import Dpt, DptConfig, add_position
from worldline.nn.rope import patch_positions, positions_with_specials, rotation
from worldline.nn.transformer import AdaLNBlock, Block


def scores(positions, dim=16, group=None):
    """Every rotated query against every rotated key; all tokens carry the same features."""
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, dim, generator=generator).expand(-1, 1, 1, len(positions), dim)
    turn = rotation(positions, dim, group)
    return (turn(q.clone()) @ turn(k.clone()).mT)[0, 0]


def test_rotary_scores_depend_on_differences_of_positions():
    positions = patch_positions(3, 4)
    table = scores(positions)
    assert torch.allclose(table, scores(positions + torch.tensor([5, 9])), atol=1e-5)
    assert not torch.allclose(table, scores(positions * 2), atol=1e-2)


def test_rows_turn_the_first_half_and_columns_the_second():
    x = torch.ones(1, 1, 2, 8)
    row = rotation(torch.tensor([[0, 0], [1, 0]]), 8)(x)[0, 0, 1]
    column = rotation(torch.tensor([[0, 0], [0, 1]]), 8)(x)[0, 0, 1]
    assert not torch.allclose(row[:4], x[0, 0, 1, :4]) and torch.equal(row[4:], x[0, 0, 1, 4:])
    assert not torch.allclose(column[4:], x[0, 0, 1, 4:]) and torch.equal(column[:4], row[4:])


def test_turning_special_tokens_alone_is_turning_all_patches_the_same_way():
    """Global blocks: one position for all patches, so only their specials have to turn."""
    patches = torch.ones(5, 2, dtype=torch.long)
    frame = torch.cat([patches.new_zeros(2, 2), patches])
    whole = scores(torch.cat([frame, frame, frame]))
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 16, generator=generator).expand(-1, 1, 1, 21, 16)
    turn = rotation(torch.full((2, 2), -1), 16, group=7)
    assert torch.allclose(whole, (turn(q.clone()) @ turn(k.clone()).mT)[0, 0], atol=1e-5)


def test_special_tokens_stand_before_the_patches():
    assert positions_with_specials(2, 1, 2).tolist() == [[0, 0], [0, 0], [1, 1], [1, 2]]


def test_cross_attention_to_itself_is_self_attention():
    torch.manual_seed(0)
    own, cross = Attention(8, 2, qk_norm=True), CrossAttention(8, 2, qk_norm=True)
    q, k, v = own.qkv.weight.chunk(3)
    names = {"q.weight": q, "k.weight": k, "v.weight": v}
    names |= {f"{n}.bias": b for n, b in zip("qkv", own.qkv.bias.chunk(3), strict=True)}
    rest = {n: t for n, t in own.state_dict().items() if "qkv" not in n}
    cross.load_state_dict(names | rest)
    x = torch.randn(2, 5, 8)
    turn = rotation(torch.arange(10).view(5, 2), 4)
    assert torch.allclose(own(x, turn), cross(x, cross.memory(x, turn), turn), atol=1e-6)


def test_a_mask_hides_tokens():
    torch.manual_seed(0)
    block = Block(8, 2, swiglu=True)
    x = torch.randn(1, 6, 8)
    mask = torch.zeros(6, 6, dtype=torch.bool)
    mask[:, :4] = True
    changed = x.clone()
    changed[:, 4:] += 1
    assert torch.equal(block(x, mask=mask)[:, :4], block(changed, mask=mask)[:, :4])


def test_an_adaptive_block_starts_as_the_identity_and_obeys_its_condition():
    torch.manual_seed(0)
    block = AdaLNBlock(8, 2)
    x, condition = torch.randn(2, 5, 8), torch.randn(2, 8)
    assert torch.equal(block(x, condition), x)
    torch.nn.init.normal_(block.adaLN_modulation[1].weight)
    assert not torch.allclose(block(x, condition), block(x, condition + 1))


def test_positions_of_maps_are_those_of_their_places():
    """The same place has the same position on a map twice as fine, at the ends' centres."""
    coarse = add_position(torch.zeros(1, 8, 1, 2), (10, 20))[0, :, 0]
    fine = add_position(torch.zeros(1, 8, 1, 4), (10, 20))[0, :, 0]
    assert coarse.shape == (8, 2) and not torch.allclose(coarse[:, 0], coarse[:, 1])
    assert torch.allclose(coarse[4:, 0], fine[4:, 0])  # the row is the same
    assert (fine[0].diff() > 0).all()  # sin u grows to the right


@pytest.mark.parametrize("size", [(28, 42), (56, 28)])
def test_a_dense_head_reads_off_every_pixel_of_every_frame_alone(size):
    torch.manual_seed(0)
    head = Dpt(DptConfig(dim=12, features=8, channels=(4, 8, 8, 8), outputs=3))
    patches = size[0] * size[1] // 14**2
    tokens = [torch.randn(3, patches, 12) for _ in range(4)]
    whole = head(tokens, size)
    assert whole.shape == (3, 3, *size)
    assert torch.allclose(whole[1:2], head([t[1:2] for t in tokens], size), atol=1e-5)
