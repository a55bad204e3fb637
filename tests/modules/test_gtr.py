"""GTRModel: every composition runs, and its three ways of scoring agree."""

import itertools

import pytest
import torch

from mmbee_plugin.modules import ContentSettings, GTRModel, GTRSettings, SIMSettings
from mmbee_plugin.modules.gtr import BACKBONES, CONTENTS, HEADS, INTERESTS


def model(**changes):
    settings = GTRSettings(
        **{
            "width": 16,
            "user_metapaths": ("u2a2u", "u2a2a"),
            "author_metapaths": ("a2a",),
            "attribute_width": 6,
            **changes,
        }
    )
    content = ContentSettings({"visual": 5, "acoustic": 4, "text": 3}, width=16)
    built = GTRModel(settings, content, SIMSettings(width=16, searched=5, short=2))
    for parameter in built.head.parameters():  # a dot head starts with silent parts
        torch.nn.init.normal_(parameter, std=0.1)
    return built


@pytest.mark.parametrize(
    ("backbone", "content", "interest", "head"),
    list(itertools.product(BACKBONES, CONTENTS, INTERESTS, HEADS)),
)
def test_score_all_equals_score(make_user, make_author, backbone, content, interest, head):
    gtr = model(backbone=backbone, content=content, interest=interest, head=head).eval()
    user, author = gtr.encode_user(make_user()), gtr.encode_author(make_author())
    full = gtr.score_all(user, author, chunk=100)  # several chunks
    assert full.shape == (5, 7)
    one_by_one = [gtr.score(user, author.take(torch.full((5,), c))) for c in range(7)]
    assert torch.allclose(full, torch.stack(one_by_one, dim=1), atol=1e-5)
    candidates = torch.randint(0, 7, (5, 3))
    lists = gtr.score_candidates(user, author.take(candidates))
    assert torch.allclose(lists, full.gather(1, candidates), atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_every_part_of_the_full_model_gets_a_gradient(make_user, make_author, head):
    gtr = model(head=head)
    target = make_author(batch=40)
    target.neighbour_count[0] = 0  # an author whose metapath leads nowhere, and one without any content
    for mask in target.segment_mask.values():
        mask[1] = False
    user, author = gtr.encode_user(make_user()), gtr.encode_author(target)
    loss = gtr.score_all(user, author).square().sum()
    auxiliary = gtr.auxiliary_logits(user, author.take(torch.zeros(5, 1, dtype=torch.long)))
    (loss + auxiliary.sum()).backward()
    dead = [n for n, p in gtr.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


def test_a_dot_head_starts_as_the_sum_of_its_node_blocks(make_user, make_author):
    settings = GTRSettings(
        width=16, head="dot", content="mfq", user_metapaths=("u2a2u",), author_metapaths=("a2a",)
    )
    content = ContentSettings({"visual": 5, "acoustic": 4, "text": 3}, width=16)
    gtr = GTRModel(settings, content, SIMSettings(width=16))
    side, target = make_user(paths=1), make_author(paths=1)
    side.neighbour_count[:] = 1
    expected = (side.user + side.neighbours[:, 0]) @ (target.author + target.neighbours[:, 0]).T
    found = gtr.score_all(gtr.encode_user(side), gtr.encode_author(target))
    assert torch.allclose(found, expected, atol=1e-4)


def test_reach_adds_the_logarithm_of_the_stored_walk(make_user, make_author):
    plain, reaching = model(), model(reach=True)
    reaching.load_state_dict(plain.state_dict(), strict=False)
    side, target = make_user(batch=2), make_author(batch=3)
    side.reach_ids = torch.tensor([[4, 7, 1 << 30], [5, 7, 9]])
    side.reach_weights = torch.tensor([[0.1, 0.2, 0.0], [0.3, 0.0004, 0.5]])
    target.ids = torch.tensor([7, 4, 8])

    def scores(gtr):
        gtr.eval()
        return gtr.score_all(gtr.encode_user(side), gtr.encode_author(target), chunk=3)

    expected = torch.log1p(torch.tensor([[0.2, 0.1, 0.0], [0.0004, 0.0, 0.0]]) / 1e-4)
    assert torch.allclose(scores(reaching) - scores(plain), expected, atol=1e-4)
