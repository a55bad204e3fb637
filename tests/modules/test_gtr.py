"""GTRModel: every composition runs, and its three ways of scoring agree."""

import itertools

import pytest
import torch

from mmbee_plugin.modules import ContentSettings, GTRModel, GTRSettings, SIMSettings
from mmbee_plugin.modules.heads import DotHead
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS, HEADS, INTERESTS, needs_prefixes, needs_user_ids


def model(**changes):
    settings = GTRSettings(
        **{
            **{"backbone": "sim", "head": "mlp", "dropout": 0.0, "history_dropout": 0.0, "width": 16},
            "user_metapaths": ("u2a2u", "u2a2a"),
            "author_metapaths": ("a2a",),
            "attribute_width": 6,
            **changes,
        }
    )
    content = ContentSettings(widths={"visual": 5, "acoustic": 4, "text": 3}, width=16)
    built = GTRModel(settings, content, SIMSettings(width=16, searched=5, short_length=2))
    for parameter in built.head.parameters():  # a dot head starts with silent parts
        torch.nn.init.normal_(parameter, std=0.1)
    return built


@pytest.mark.parametrize(
    ("backbone", "content", "interest", "head"),
    [
        parts
        for parts in itertools.product(BACKBONES, CONTENTS, INTERESTS, HEADS)
        if parts[0] != "mmoe" or parts[3] == "mlp"  # it brings a head of its own
    ],
)
def test_score_all_equals_score(make_user, make_author, backbone, content, interest, head):
    gtr = model(backbone=backbone, content=content, interest=interest, head=head).eval()
    user, author = gtr.encode_user(make_user(batch=3, history=8)), gtr.encode_author(make_author(batch=4))
    full = gtr.score_all(user, author, chunk=48)  # several chunks
    assert full.shape == (3, 4)
    one_by_one = [gtr.score(user, author.take(torch.full((3,), c))) for c in range(4)]
    assert torch.allclose(full, torch.stack(one_by_one, dim=1), atol=1e-5)
    candidates = torch.randint(0, 4, (3, 3))
    lists = gtr.score_candidates(user, author.take(candidates))
    assert torch.allclose(lists, full.gather(1, candidates), atol=1e-5)


FULL_MODELS = [
    {"head": "mlp"},
    {"head": "dot"},
    {"backbone": "sasrec", "head": "dot"},
    {"backbone": "dien", "content": "mta", "interest": "bdr"},
    {"backbone": "mmoe", "content": "ego_fusion", "interest": "bdr", "tasks": ("gift", "like")},
]


@pytest.mark.parametrize("parts", FULL_MODELS, ids=lambda parts: "-".join(map(str, parts.values())))
def test_every_part_of_the_full_model_gets_a_gradient(make_user, make_author, parts):
    gtr = model(**parts)
    target = make_author(batch=40)
    target.neighbour_count[0] = 0  # an author whose metapath leads nowhere, and one without any content
    for mask in target.segment_mask.values():
        mask[1] = False
    user, author = gtr.encode_user(make_user()), gtr.encode_author(target)
    loss = gtr.score_tasks(user, author.unsqueeze(0)).square().sum()
    auxiliary = gtr.auxiliary_loss(user, author.take(torch.zeros(5, 1, dtype=torch.long)), torch.ones(5, 1))
    (loss if auxiliary is None else loss + auxiliary).backward()
    dead = [n for n, p in gtr.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


def test_tasks_are_scored_beside_each_other(make_user, make_author):
    """What BDR and the reach say of a pair is of the gift alone; other backbones know no other task."""
    tasks = ("gift", "comment", "like")
    gtr = model(backbone="mmoe", interest="bdr", tasks=tasks).eval()
    user, author = gtr.encode_user(make_user()), gtr.encode_author(make_author()).unsqueeze(0)
    both = gtr.score_tasks(user, author)
    assert both.shape == (5, 7, 3) and gtr.tasks == tasks
    assert torch.allclose(both[:, :, 0], gtr.score_candidates(user, author), atol=1e-6)
    before = gtr.perspectives(user.views, author.views)
    torch.nn.init.zeros_(gtr.perspectives.of_user.rest[-1].weight)
    torch.nn.init.zeros_(gtr.perspectives.of_author.rest[-1].weight)
    change = gtr.score_tasks(user, author) - both
    assert torch.allclose(change[:, :, 0], gtr.perspectives(user.views, author.views) - before, atol=1e-5)
    assert (change[:, :, 1:] == 0).all() and (change[:, :, 0] != 0).any()
    assert model(backbone="din", tasks=tasks).tasks == ("gift",)


def test_a_dot_head_starts_as_the_product_of_ids_plus_that_of_nodes(make_user, make_author):
    settings = GTRSettings(
        backbone="sim", width=16, dropout=0.0, user_metapaths=("u2a2u",), author_metapaths=("a2a",)
    )
    content = ContentSettings(widths={"visual": 5, "acoustic": 4, "text": 3}, width=16)
    gtr = GTRModel(settings, content, SIMSettings(width=16))
    side, target = make_user(paths=1), make_author(paths=1)
    side.neighbour_count[:] = 1
    expected = side.user @ target.author.T + side.neighbours[:, 0] @ target.neighbours[:, 0].T
    found = gtr.score_all(gtr.encode_user(side), gtr.encode_author(target))
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("paths", "speaks"), [((), True), (("u2a2u",), False), (("a2a",), False), (("u2a2u", "a2a"), False)]
)
def test_ids_speak_in_the_towers_only_where_there_are_no_nodes(paths, speaks):
    sides = {f"{side}_metapaths": tuple(p for p in paths if p[0] == side[0]) for side in ("user", "author")}
    settings = GTRSettings(width=16, head="dot", interest="gie" if paths else "none", **sides)
    head = GTRModel(settings, ContentSettings(widths={"visual": 5}, width=16), SIMSettings(width=16)).head
    assert torch.equal(head.from_user.weight[:, :16], float(speaks) * torch.eye(16))
    assert not head.from_author.weight[:, :16].any()


def test_content_of_another_width_starts_silent_in_a_dot_head(make_user, make_author):
    settings = GTRSettings(width=16, head="dot", user_metapaths=("u2a2u",), author_metapaths=("a2a",))
    gtr = GTRModel(
        settings, ContentSettings(widths={"visual": 5}, width=8, num_queries=3), SIMSettings(width=16)
    ).eval()
    weight = gtr.head.from_author.weight
    assert weight.shape == (16, 16 + 2 * 3 * 8 + 16), "the id, 3 queries and 3 matches of width 8, a metapath"
    assert not weight[:, 16:64].any() and torch.equal(weight[:, 64:], torch.eye(16))
    side = make_author(paths=1)
    side.queries = torch.randn(len(side.author), 3, 8)
    user = make_user(batch=len(side.author), paths=1)
    assert gtr.score(gtr.encode_user(user), gtr.encode_author(side)).shape == (len(side.author),)


def test_an_authors_id_speaks_in_its_tower_where_the_user_has_none():
    settings = GTRSettings(width=16, backbone="sim", head="dot", user_metapaths=("u2a2u",), user_ids=False)
    head = GTRModel(settings, ContentSettings(widths={"visual": 5}, width=16), SIMSettings(width=16)).head
    assert torch.equal(head.from_author.weight[:, :16], torch.eye(16))


def test_a_dot_head_drops_out_nothing_between_ids():
    head = DotHead(2, [(4, 1.0)] * 3, [(4, 1.0)] * 2, 0, 4, dropout=0.5).train()
    user, author = torch.randn(3, 12), torch.randn(5, 8)
    assert torch.equal(head.user(user)[:, :4], user[:, :4] + user[:, 4:8])
    assert torch.equal(head.author(author)[:, :4], author[:, :4])
    assert not torch.equal(head.user(user)[:, 4:], head.user(user)[:, 4:])
    assert not torch.equal(head.author(author)[:, 4:], head.author(author)[:, 4:])


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (("sim", "gie", ["a2a"]), "without a metapath from users"),
        (("din", "none", ["u2a2u"]), "without a metapath from users"),
        (("mean", "bdr", ["u2a2u"]), "reads users' id vectors"),
        (("sim", "gie", ["u2a2u"]), None),
        (("sasrec", "none", []), None),
    ],
)
def test_some_parts_cannot_do_without_user_ids(parts, why):
    found = needs_user_ids(*parts)
    assert found is None if why is None else why in found


@pytest.mark.parametrize(
    ("parts", "reads_order"),
    [
        (("sim", 0), False),
        (("sim", 3), True),
        (("din", 3), False),
        (("dien", 0), True),
        (("sasrec", 0), True),
    ],
)
def test_backbones_that_read_order_need_prefixes(parts, reads_order):
    assert (needs_prefixes(*parts, "others") is not None) == reads_order
    assert needs_prefixes(*parts, "prefix") is None and needs_prefixes(*parts, "daily") is None


@pytest.mark.parametrize("floor", [1e-4, 10.0])
def test_reach_adds_the_logarithm_of_the_stored_walk(make_user, make_author, floor):
    plain, reaching = model(), model(reach=True, reach_floor=floor)
    reaching.load_state_dict(plain.state_dict(), strict=False)
    assert reaching.reach.weight == 1 and model(reach=True, reach_weight=0.0).reach.weight == 0
    torch.nn.init.constant_(reaching.reach.weight, 2.0)
    side, target = make_user(batch=2), make_author(batch=3)
    side.reach_ids = torch.tensor([[4, 7, 1 << 30], [5, 7, 9]])
    side.reach_weights = torch.tensor([[0.1, 0.2, 0.0], [0.3, 0.0004, 0.5]])
    target.ids = torch.tensor([7, 4, 8])

    def scores(gtr):
        gtr.eval()
        return gtr.score_all(gtr.encode_user(side), gtr.encode_author(target), chunk=3)

    expected = 2 * torch.log1p(torch.tensor([[0.2, 0.1, 0.0], [0.0004, 0.0, 0.0]]) / floor)
    assert torch.allclose(scores(reaching) - scores(plain), expected, atol=1e-4)
    again = torch.tensor([[7, 4, 8, 7]])  # shared by both users, one author twice
    spread = reaching.reach(side.reach_ids, side.reach_weights, again)
    own = reaching.reach(side.reach_ids, side.reach_weights, again.expand(2, -1))
    assert torch.allclose(spread, expected[:, [0, 1, 2, 0]]) and torch.allclose(own, spread)
