"""MFQ: shapes, masks, the three readings of the orthogonal projection, and that it learns from content."""

import pytest
import torch

from mmbee_plugin.modules import MFQ, Concat, ContentSettings, OrthogonalProjection
from mmbee_plugin.modules.tokens import ModalityTokens

RAW = {"visual": 5, "acoustic": 4, "text": 3}


def settings(**changes):
    return ContentSettings(**{"widths": RAW, "width": 16, "heads": 4, "num_queries": 4, **changes})


@pytest.mark.parametrize("reading", OrthogonalProjection.READINGS)
@pytest.mark.parametrize("use_queries", [True, False])
def test_output_shape(make_author, reading, use_queries):
    encoder = MFQ(settings(projection=reading, use_queries=use_queries))
    out = encoder(make_author())
    assert out.shape == (7, encoder.out_width) == (7, 64 if use_queries else 16)
    assert out.isfinite().all()


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


def test_token_reading_of_a_single_token_changes_nothing():
    tokens = torch.randn(2, 3, 1, 8)
    out = OrthogonalProjection("token")(tokens, torch.ones(2, 3, 1, dtype=torch.bool))
    assert torch.allclose(out, tokens, atol=1e-6)


@pytest.mark.parametrize("encoder_class", [MFQ, Concat])
@pytest.mark.parametrize("reading", OrthogonalProjection.READINGS)
def test_a_missing_modality_is_not_read(make_author, encoder_class, reading):
    encoder = encoder_class(settings(projection=reading)).eval()
    side = make_author()
    side.segment_mask["acoustic"][:] = False
    before = encoder(side)
    side.segments["acoustic"] = torch.randn_like(side.segments["acoustic"]) * 100
    assert torch.allclose(before, encoder(side), atol=1e-6)
    side.segment_mask["acoustic"][:] = True
    assert not torch.allclose(before, encoder(side), atol=1e-2)


def test_an_author_without_any_content_still_has_finite_gradients(make_author):
    encoder = MFQ(settings())
    side = make_author()
    for mask in side.segment_mask.values():
        mask[0] = False
    side.queries.requires_grad_()
    encoder(side).square().sum().backward()
    assert side.queries.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


def test_unseen_authors_read_with_the_default_queries(make_author):
    encoder = MFQ(settings()).eval()
    side = make_author()
    side.seen[0] = False
    before = encoder(side)
    side.queries = torch.randn_like(side.queries)
    after = encoder(side)
    assert torch.allclose(before[0], after[0])
    assert not torch.allclose(before[1], after[1], atol=1e-3)


def test_default_queries_are_trained_by_standing_in(make_author):
    encoder = MFQ(settings(default_query_rate=1.0))
    encoder(make_author()).sum().backward()
    assert encoder.default_queries.grad.abs().sum() > 0


def test_modality_dropout_never_takes_the_last_one(make_author):
    tokens = ModalityTokens(settings(modality_dropout=1.0))
    side = make_author(batch=50)
    _, mask = tokens(side)
    had = torch.stack([m.any(dim=1) for m in side.segment_mask.values()]).any(dim=0)
    assert (mask.flatten(1).any(dim=1) == had).all()
    assert (mask.any(dim=2).sum(dim=1) <= 1).all()
    _, kept = tokens.eval()(side)
    assert (kept.any(dim=2).sum(dim=1) > 1).any()


def test_every_parameter_gets_a_gradient_over_several_segments(make_author):
    encoder = MFQ(settings(default_query_rate=0.5, projection="elementwise"))
    side = make_author(batch=40)
    for mask in side.segment_mask.values():
        mask[0] = False  # the placeholders speak for an author without any content
    encoder(side).square().sum().backward()
    dead = [n for n, p in encoder.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert dead == []


def test_with_one_segment_the_first_attention_has_no_say(make_author):
    """One key: attention is 1, so the query weights of eq. 5 cannot learn. Documented, and true."""
    encoder = MFQ(settings(modality_dropout=0.0))
    encoder(make_author(segments=1)).square().sum().backward()
    assert encoder.per_modality[0].to_query.weight.grad.abs().max() < 1e-6


@pytest.mark.parametrize("encoder_class", [MFQ, Concat])
def test_it_learns_where_content_decides(make_author, encoder_class):
    """The label is the sign of one visual feature: a linear probe on the encoding finds it, held out."""
    encoder = encoder_class(settings(modality_dropout=0.0))
    probe = torch.nn.Linear(encoder.out_width, 1)
    optimiser = torch.optim.Adam([*encoder.parameters(), *probe.parameters()], lr=1e-2)
    train, held_out = make_author(batch=400), make_author(batch=400)
    for side in (train, held_out):
        side.segment_mask["visual"][:] = True

    def logits(side):
        return probe(encoder(side)).squeeze(1)

    def labels(side):
        return (side.segments["visual"].mean(dim=(1, 2))[:, 0] > 0).float()

    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits(train), labels(train))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    encoder.eval()
    accuracy = ((logits(held_out) > 0) == (labels(held_out) > 0)).float().mean()
    assert accuracy > 0.85
