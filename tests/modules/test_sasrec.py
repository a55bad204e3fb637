"""SASRec as a backbone: the last place of a causal block, whatever the padding."""

import torch

from mmbee_plugin.modules import SASRec, UserSide
from mmbee_plugin.modules.attention import AttentionBlock


def side_of(history, mask):
    return UserSide(user=None, history=history, history_mask=mask, history_gap=None)


def test_it_is_the_last_place_of_a_block_over_all_places():
    """Against the block at every place under a causal mask, which is how the paper writes it."""
    backbone = SASRec(16)
    history = torch.randn(1, 6, 16)
    places = backbone.norm(history + backbone.position(torch.arange(5, -1, -1)))
    causal = torch.ones(6, 6).tril().bool()
    block: AttentionBlock = backbone.attend
    q, (k, v) = block.to_query(places), block.to_key_value(places).chunk(2, dim=-1)
    logits = (q @ k.transpose(1, 2) / 4).masked_fill(~causal, -torch.inf)
    attended = block.norm(places + block.to_output(torch.softmax(logits, dim=-1) @ v))
    expected = backbone.digest(attended)[:, -1]
    found = backbone.summary(side_of(history, torch.ones(1, 6, dtype=torch.bool)))
    assert torch.allclose(found, expected, atol=1e-5)


def test_padding_on_either_side_does_not_matter_and_order_does():
    backbone, history = SASRec(16), torch.randn(1, 3, 16)
    plain = backbone.summary(side_of(history, torch.ones(1, 3, dtype=torch.bool)))
    for before, after in ((2, 0), (0, 2)):
        padded = torch.cat([torch.randn(1, before, 16), history, torch.randn(1, after, 16)], dim=1)
        mask = torch.tensor([[False] * before + [True] * 3 + [False] * after])
        assert torch.allclose(backbone.summary(side_of(padded, mask)), plain, atol=1e-5)
    turned = backbone.summary(side_of(history.flip(1), torch.ones(1, 3, dtype=torch.bool)))
    assert not torch.allclose(turned, plain, atol=1e-2)


def test_histories_beyond_the_positions_and_empty_ones(make_user):
    backbone = SASRec(16)
    side = make_user(batch=4, history=70)
    side.history_mask[0] = False
    found = backbone.summary(side)
    assert torch.equal(found[0], backbone.empty) and found.isfinite().all()


def test_the_newest_fifty_behaviours_have_positions_of_their_own():
    backbone, history = SASRec(16), torch.randn(1, 60, 16)
    torch.nn.init.normal_(backbone.position.weight)
    mask = torch.ones(1, 60, dtype=torch.bool)
    for places, same in (((3, 8), True), ((12, 14), False)):  # both older than fifty; neither
        swapped = history.clone()
        swapped[:, places] = history[:, places[::-1]]
        found = [backbone.summary(side_of(each, mask)) for each in (history, swapped)]
        assert torch.allclose(*found, atol=1e-5) == same


def test_behaviours_and_both_layers_are_dropped_out():
    for kept in range(3):
        backbone = SASRec(16, dropout=0.5)
        drawn = [backbone.dropout, backbone.attend.dropout, backbone.digest.dropout]
        for place, part in enumerate(drawn):
            part.train(place == kept)
        side = side_of(torch.randn(1, 6, 16), torch.ones(1, 6, dtype=torch.bool))
        assert not torch.equal(backbone.summary(side), backbone.summary(side))
