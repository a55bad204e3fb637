"""What holds for every content encoder, then EgoFusion and MTA against plain loops."""

from typing import get_args

import pytest
import torch

from mmbee_plugin.modules import MFQ, MTA, Concat, ContentSettings, EgoFusion
from mmbee_plugin.modules.shapes import Fusion

RAW = {"visual": 5, "acoustic": 4, "text": 3}


def settings(**changes):
    return ContentSettings(**{"widths": RAW, "width": 16, "heads": 4, "num_queries": 4, **changes})


def build(name, **changes):
    kinds = {"concat": Concat, "mfq": MFQ, "mta": MTA, "ego_soft": EgoFusion, "ego_hard": EgoFusion}
    if name == "ego_hard":
        changes |= {"fusion": "hard", "fusion_threshold": 0.3}
    if name == "mfq":
        changes = {"projection": "elementwise", **changes}
    return kinds[name](settings(**changes))


every_encoder = pytest.mark.parametrize("name", ["concat", "mfq", "mta", "ego_soft", "ego_hard"])


@every_encoder
def test_a_missing_modality_is_not_read(make_author, name):
    encoder, side = build(name).eval(), make_author()
    side.segment_mask["acoustic"][:] = False
    before = encoder(side)
    assert before.shape == (7, encoder.out_width)
    side.segments["acoustic"] = torch.randn_like(side.segments["acoustic"]) * 100
    assert torch.allclose(before, encoder(side), atol=1e-6)
    side.segment_mask["acoustic"][:] = True
    assert not torch.allclose(before, encoder(side), atol=1e-2)


@every_encoder
def test_segments_before_an_authors_first_do_not_matter(make_author, name):
    encoder, side = build(name).eval(), make_author(segments=4)
    for mask in side.segment_mask.values():
        mask[:] = True
        mask[:, :2] = False
    long = encoder(side)
    side.segments = {m: values[:, 2:] for m, values in side.segments.items()}
    side.segment_mask = {m: mask[:, 2:] for m, mask in side.segment_mask.items()}
    assert torch.allclose(long, encoder(side), atol=1e-5)


@every_encoder
def test_an_author_without_any_content_has_finite_gradients(make_author, name):
    encoder, side = build(name), make_author()
    for mask in side.segment_mask.values():
        mask[0] = False
    out = encoder(side)
    out.square().sum().backward()
    assert out.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


@every_encoder
def test_every_parameter_gets_a_gradient_over_several_segments(make_author, name):
    encoder, side = build(name, default_query_rate=0.5), make_author(batch=40)
    for mask in side.segment_mask.values():
        mask[0] = False  # the placeholders speak for an author without any content
    encoder(side).square().sum().backward()
    dead = [n for n, p in encoder.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert dead == []


@every_encoder
def test_one_modality_and_one_segment_are_enough(make_author, name):
    encoder = build(name, widths={"visual": 5})
    side = make_author(raw={"visual": 5}, segments=1)
    assert encoder(side).shape == (7, encoder.out_width)


@every_encoder
def test_it_learns_where_content_decides(make_author, name):
    """The label is the sign of one visual feature: a linear probe on the encoding finds it, held out."""
    encoder = build(name, modality_dropout=0.0, projection="sum", joint_layers=1)
    probe = torch.nn.Linear(encoder.out_width, 1)
    optimiser = torch.optim.Adam([*encoder.parameters(), *probe.parameters()], lr=1e-2)
    train, held_out = make_author(batch=300), make_author(batch=300)
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


@pytest.mark.parametrize("form", get_args(Fusion))
def test_ego_fusion_by_hand(make_author, form):
    encoder = EgoFusion(settings(fusion=form, fusion_threshold=0.4)).eval()
    side = make_author(batch=6)
    tokens, mask = encoder.tokens(side)
    found = encoder(side)
    strengths = set()
    for b in range(6):
        if not mask[b].any(dim=1).all():
            continue  # a modality missing throughout reads its placeholders
        means = []
        for m in range(3):
            sends = [j for j in range(3) if mask[b, m, j]]
            heard = []
            for i in sends:
                x = tokens[b, m]
                plain = torch.softmax(torch.stack([x[i] @ x[j] / 4 for j in sends]), dim=0)
                modulated = []
                for j, a in zip(sends, plain, strict=True):
                    others = [s for s in range(3) if s != m and mask[b, s, j]]
                    total = x[j]
                    for s in others:
                        y = tokens[b, s, j]
                        if form == "soft":
                            slot = m if m < s else m - 1  # the sender's gates leave the sender itself out
                            y = y * torch.sigmoid(encoder.gates[s](y))[16 * slot : 16 * slot + 16]
                        total = total + y
                    strong = form == "soft" or a > 0.4
                    strengths.add(bool(strong))
                    modulated.append(total / (1 + len(others)) if strong else x[j])
                again = torch.softmax(torch.stack([x[i] @ w / 4 for w in modulated]), dim=0)
                message = sum(a * w for a, w in zip(again, modulated, strict=True))
                heard.append(encoder.norms[m](x[i] + message))
            means.append(torch.stack(heard).mean(dim=0))
        assert torch.allclose(found[b], encoder.project(torch.cat(means)), atol=1e-5)
    assert strengths == ({True} if form == "soft" else {True, False})


def test_an_unknown_fusion_is_refused():
    with pytest.raises(ValueError, match="soft, hard"):
        EgoFusion(settings(fusion="mild"))


@pytest.mark.parametrize("segments", [1, 3])
def test_mta_by_hand(make_author, segments):
    """Each author, layer, modality and segment by itself; the GRU by its equations."""
    encoder = MTA(settings(joint_layers=2)).eval()
    side = make_author(segments=segments)
    for mask in side.segment_mask.values():
        mask[0], mask[1] = False, True
        mask[2, 0] = False  # a segment of nothing
    tokens, mask = encoder.tokens(side)
    found = encoder(side)
    there = mask.any(dim=1)  # (B, L)
    assert segments == 1 or (there.any(dim=1) & ~there.all(dim=1)).any()
    for b in range(len(tokens)):
        first = state = tokens[b]
        for layer in encoder.layers:
            heard = []
            for m in range(3):
                other = state[m].clone()
                for s in (0, 1, 2):
                    for j in range(segments):
                        if s != m and mask[b, s, j]:
                            shared = torch.softmax(state[m, j] * state[s, j], dim=0)
                            other[j] += state[s, j] * (1 - shared)
                usable = [j for j in range(segments) if mask[b, m, j]] or list(range(segments))
                heard.append(layer.feed[m](layer.hear[m](state[m][None], other[None, usable]))[0])
            state = torch.stack(heard)
        joint = torch.cat(list(first + state), dim=1)  # (L, 3 d)
        if segments > 1:
            read = [j for j in range(segments) if there[b, j]] or list(range(segments))
            joint = [gru(encoder.over_time, joint[read])]
        assert torch.allclose(found[b], encoder.project(joint[0]), atol=1e-5)


def gru(cell, steps):
    """The state after steps (L, d), from zero (Cho et al., 2014, with the reset gate after the product)."""
    state = torch.zeros(steps.shape[1])
    for step in steps:
        of_step, of_state = (
            (weight @ value + bias).chunk(3)
            for weight, value, bias in (
                (cell.weight_ih, step, cell.bias_ih),
                (cell.weight_hh, state, cell.bias_hh),
            )
        )
        reset, update = (torch.sigmoid(of_step[gate] + of_state[gate]) for gate in (0, 1))
        state = (1 - update) * torch.tanh(of_step[2] + reset * of_state[2]) + update * state
    return state
