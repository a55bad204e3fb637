"""MFQ: shapes, queries, and the three readings of the orthogonal projection; more in test_contents.py."""

import pytest
import torch

from mmbee_plugin.errors import InputError
from mmbee_plugin.modules import MFQ, ContentSettings, OrthogonalProjection
from mmbee_plugin.modules.attention import AttentionBlock
from mmbee_plugin.modules.mfq import OWN_GAIN, chosen_start
from mmbee_plugin.modules.tokens import ModalityTokens

RAW = {"visual": 5, "acoustic": 4, "text": 3}


def settings(**changes):
    return ContentSettings(**{"widths": RAW, "width": 16, "heads": 4, "num_queries": 4, **changes})


@pytest.mark.parametrize("reading", OrthogonalProjection.READINGS)
@pytest.mark.parametrize(
    ("changes", "width"), [({}, 128), ({"match": False}, 64), ({"use_queries": False}, 16)]
)
def test_output_shape(make_author, reading, changes, width):
    encoder = MFQ(settings(projection=reading, **changes))
    out = encoder(make_author())
    assert out.shape == (7, encoder.out_width) == (7, width)
    assert out.isfinite().all()


def test_match_is_each_query_times_what_is_on_now(make_author):
    encoder = MFQ(settings()).eval()
    plain = MFQ(settings(match=False)).eval()
    plain.load_state_dict(encoder.state_dict(), strict=False)
    side = make_author(segments=3)
    out = encoder(side).unflatten(1, (2, -1))
    assert torch.equal(out[:, 0], plain(side)), "beside it stands the paper's output"
    side.queries = -encoder.default_queries.expand_as(side.queries) / OWN_GAIN  # no query is left
    assert encoder(side).unflatten(1, (2, -1))[:, 1].abs().max() < 1e-6


def test_match_has_nothing_where_nothing_is_on_now(make_author):
    encoder = MFQ(settings()).eval()
    side = make_author(segments=3)
    before = encoder(side).unflatten(1, (2, -1))[:, 1]
    for mask in side.segment_mask.values():
        mask[:, :2], mask[0, 2] = True, False
    after = encoder(side).unflatten(1, (2, -1))[:, 1].unflatten(1, (4, -1))
    silent = encoder.held_against(torch.zeros(3 * 16)).unflatten(0, (4, -1))
    expected = (encoder.default_queries + OWN_GAIN * side.queries[0] * side.seen[0]) * silent
    assert torch.allclose(after[0], expected, atol=1e-6)
    assert not torch.allclose(before[0], after[0].flatten(), atol=1e-3)


def test_unknown_projection_is_refused():
    with pytest.raises(ValueError, match="elementwise, token, sum"):
        OrthogonalProjection("cosine")


def test_sum_reading_by_hand():
    tokens = torch.randn(2, 3, 4, 8)
    out = OrthogonalProjection("sum")(tokens, torch.ones(2, 3, 4, dtype=torch.bool))
    assert torch.allclose(out, tokens.sum(dim=1, keepdim=True).expand_as(tokens), atol=1e-6)


def test_elementwise_reading_by_hand():
    tokens = torch.randn(1, 2, 1, 8)
    v, s = tokens[0, 0, 0], tokens[0, 1, 0]
    expected = v + s * (1 - torch.softmax(v * s, dim=0))
    out = OrthogonalProjection("elementwise")(tokens, torch.ones(1, 2, 1, dtype=torch.bool))
    assert torch.allclose(out[0, 0, 0], expected, atol=1e-6)


def test_token_reading_by_hand():
    length, width = 3, 4
    tokens = torch.randn(1, 2, length, width)
    v, s = tokens[0]
    expected = v.clone()
    for i in range(length):
        weights = torch.softmax(torch.stack([v[i] @ s[j] for j in range(length)]) / width**0.5, dim=0)
        for j in range(length):
            expected[i] += (1 - weights[j]) * s[j]
    out = OrthogonalProjection("token")(tokens, torch.ones(1, 2, length, dtype=torch.bool))
    assert torch.allclose(out[0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("reading", OrthogonalProjection.READINGS)
def test_a_missing_modality_adds_nothing(reading):
    """Whatever stands in its place; what is left is as without it."""
    tokens, mask = torch.randn(2, 3, 4, 8), torch.ones(2, 3, 4, dtype=torch.bool)
    mask[:, 1] = False
    project = OrthogonalProjection(reading)
    out = project(tokens, mask)
    assert torch.allclose(out[:, ::2], project(tokens[:, ::2], mask[:, ::2]), atol=1e-6)
    heard = project(tokens, torch.ones_like(mask))[:, 1]
    assert torch.allclose(out[:, 1], heard, atol=1e-6), "its own place hears the others all the same"


@pytest.mark.parametrize("reading", OrthogonalProjection.READINGS)
def test_a_missing_segment_adds_nothing_by_hand(reading):
    tokens, mask = torch.randn(1, 2, 3, 4), torch.ones(1, 2, 3, dtype=torch.bool)
    mask[0, 1, 1] = False
    v, s = tokens[0]
    expected = v.clone()
    for i in range(3):
        if reading == "token":
            corr = torch.softmax(torch.stack([v[i] @ s[0], v[i] @ s[2]]) / 2, dim=0)
            expected[i] += (1 - corr[0]) * s[0] + (1 - corr[1]) * s[2]
        elif i != 1:
            expected[i] += s[i] if reading == "sum" else s[i] * (1 - torch.softmax(v[i] * s[i], dim=0))
    assert torch.allclose(OrthogonalProjection(reading)(tokens, mask)[0, 0], expected, atol=1e-6)


def test_token_reading_of_a_single_token_changes_nothing():
    tokens = torch.randn(2, 3, 1, 8)
    out = OrthogonalProjection("token")(tokens, torch.ones(2, 3, 1, dtype=torch.bool))
    assert torch.allclose(out, tokens, atol=1e-6)


@pytest.mark.parametrize("reading", OrthogonalProjection.READINGS)
def test_half_precision_differs_by_its_rounding_alone(reading):
    tokens, mask = torch.randn(2, 3, 4, 8), torch.ones(2, 3, 4, dtype=torch.bool)
    mask[0, 1], mask[1, 2, 1] = False, False
    project = OrthogonalProjection(reading)
    out = project(tokens.half(), mask)
    assert out.dtype == torch.float16
    assert torch.allclose(out.float(), project(tokens, mask), atol=2e-2)


@pytest.mark.parametrize("reading", OrthogonalProjection.READINGS)
def test_no_reading_reads_a_missing_modality(make_author, reading):
    encoder = MFQ(settings(projection=reading)).eval()
    side = make_author()
    side.segment_mask["acoustic"][:] = False
    before = encoder(side)
    side.segments["acoustic"] = torch.randn_like(side.segments["acoustic"]) * 100
    assert torch.allclose(before, encoder(side), atol=1e-6)
    side.segment_mask["acoustic"][:] = True
    assert not torch.allclose(before, encoder(side), atol=1e-2)


def test_without_queries_the_tokens_that_are_there_are_averaged(make_author):
    """q_m(-) of Table 7. Where nothing is there it averages the placeholders."""
    encoder = MFQ(settings(use_queries=False)).eval()
    side = make_author()
    side.segment_mask["acoustic"][0] = False
    side.segment_mask["text"][1, 2] = False
    for mask in side.segment_mask.values():
        mask[2] = False
    fused = []
    encoder.fuse.register_forward_hook(lambda _module, _inputs, output: fused.append(output))
    out = encoder(side)
    there = torch.cat(list(side.segment_mask.values()), dim=1)  # (B, M L)
    there[2] = True
    assert not there.all(dim=1)[:2].any()
    for found, tokens, kept in zip(out, fused[0], there, strict=True):
        assert torch.allclose(found, tokens[kept].mean(dim=0), atol=1e-6)


def test_unseen_authors_read_with_the_default_queries(make_author):
    encoder = MFQ(settings()).eval()
    side = make_author()
    side.seen[0] = False
    before = encoder(side)
    side.queries = torch.randn_like(side.queries)
    after = encoder(side)
    assert torch.allclose(before[0], after[0])
    assert not torch.allclose(before[1], after[1], atol=1e-3)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_what_all_authors_share_is_trained_with_and_without_what_they_add(make_author, rate):
    encoder = MFQ(settings(default_query_rate=rate))
    side = make_author()
    side.queries = side.queries.requires_grad_()
    encoder(side).square().sum().backward()
    assert encoder.default_queries.grad.abs().sum() > 0
    assert (side.queries.grad.abs().sum() > 0) == (rate == 0)


def test_without_shared_queries_an_author_has_its_own_alone(make_author):
    encoder = MFQ(settings(shared_queries=False, default_query_rate=0.0))
    side = make_author()
    side.seen[0] = False
    own = encoder._queries(side)
    assert torch.equal(own[1:], side.queries[1:]) and torch.equal(own[0], encoder.default_queries)
    assert "default_queries" in encoder.state_dict()
    assert "default_queries" not in dict(encoder.named_parameters()), "weight decay alone would move them"


def test_the_default_queries_learn_by_their_rate_where_none_are_shared(make_author):
    encoder = MFQ(settings(shared_queries=False, default_query_rate=1.0))
    side = make_author()
    side.queries = side.queries.requires_grad_()
    encoder(side).square().sum().backward()
    assert encoder.default_queries.grad.abs().sum() > 0 and not side.queries.grad.any()


@pytest.mark.parametrize(
    ("start", "live", "found"),
    [
        ("random", False, "random"),
        ("author", True, "author"),
        (None, True, "random"),
        (None, False, "author"),
    ],
)
def test_queries_start_as_set_else_as_in_the_paper(start, live, found):
    assert chosen_start(start, live, 16, 16) == found
    if found == "random":
        assert chosen_start(start, live, 8, 16) == found
    else:
        with pytest.raises(InputError, match="id vectors have width 16, query tokens mfq_width 8"):
            chosen_start(start, live, 8, 16)


def test_an_author_that_adds_nothing_reads_as_an_unseen_one(make_author):
    encoder = MFQ(settings()).eval()
    side = make_author()
    side.queries = torch.zeros_like(side.queries)
    before = encoder(side)
    side.seen[:] = False
    assert torch.equal(before, encoder(side))


def test_modality_dropout_never_takes_the_last_one(make_author):
    tokens = ModalityTokens(settings(modality_dropout=1.0))
    side = make_author(batch=50)
    _, mask = tokens(side)
    had = torch.stack([m.any(dim=1) for m in side.segment_mask.values()]).any(dim=0)
    assert (mask.flatten(1).any(dim=1) == had).all()
    assert (mask.any(dim=2).sum(dim=1) <= 1).all()
    _, kept = tokens.eval()(side)
    assert (kept.any(dim=2).sum(dim=1) > 1).any()


def test_with_one_segment_the_first_attention_has_no_say(make_author):
    """One key: attention is 1, so the query and key weights of eq. 5 cannot learn. Documented, and true."""
    encoder = MFQ(settings(modality_dropout=0.0))
    encoder(make_author(segments=1)).square().sum().backward()
    block = encoder.per_modality[0]
    assert block.to_query.weight.grad is None
    keys, values = block.to_key_value.weight.grad.chunk(2)
    assert keys.abs().max() == 0 < values.abs().max()


def test_a_single_key_is_read_as_any_other_number_of_keys_is():
    """Beside a second key that is masked, which goes through softmax."""
    block = AttentionBlock(16, heads=4)
    query, keys = torch.randn(3, 2, 16), torch.randn(3, 2, 16)
    mask = torch.tensor([[True, False]]).expand(3, 2)
    assert torch.allclose(block(query, keys[:, :1]), block(query, keys, mask), atol=1e-6)


def test_the_weights_of_a_block_are_those_it_mixes_by():
    block = AttentionBlock(16, heads=4)
    query, keys = torch.randn(3, 2, 16), torch.randn(3, 5, 16)
    mask = torch.rand(3, 5) < 0.6
    mask[:, 0] = True
    weights = block.weights(query, keys, mask)
    assert weights.shape == (3, 4, 2, 5)
    values = block.to_key_value(keys)[..., 16:].unflatten(2, (4, 4))  # (B, K, heads, d / heads)
    mixed = torch.einsum("bhqk,bkhe->bqhe", weights, values).flatten(2)
    assert torch.allclose(block(query, keys, mask), block.norm(query + block.to_output(mixed)), atol=1e-6)


def test_queries_attend_to_what_is_there(make_author):
    encoder = MFQ(settings()).eval()
    side = make_author()
    side.segment_mask["text"][0] = False
    for mask in side.segment_mask.values():
        mask[1] = False
        mask[2, :] = True
    found = encoder.attention(side)
    assert found.shape == (7, 4, 3, 3)
    assert torch.allclose(found.sum(dim=(2, 3)), torch.ones(7, 4))
    there = torch.stack(list(side.segment_mask.values()), dim=1)  # (B, M, L)
    assert (found[0].mean(dim=0) > 0).equal(there[0]) and (found[2] > 0).all()
    assert (found[1] > 0).all()  # nothing there: the placeholders are read
    side.seen[2] = False
    assert not torch.allclose(encoder.attention(side)[2], found[2])
