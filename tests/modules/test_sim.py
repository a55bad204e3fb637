"""SIM's two searches against loops, its time gaps, and when its search leaves nothing out."""

import math

import pytest
import torch

from mmbee_plugin.errors import InputError
from mmbee_plugin.modules import SIM, SIMSettings
from mmbee_plugin.modules.batch import UserSide
from mmbee_plugin.modules.sim import chosen_search, gap_buckets

WIDTH = 16


def hard(searched, short=0):
    return SIM(SIMSettings(width=WIDTH, search="hard", searched=searched, short_length=short))


def with_categories(side, kinds=4):
    """0, unknown, among them."""
    side.history_category = torch.randint(0, kinds, side.history_mask.shape)
    return side


def seen(sim, side, author, category):
    """By user and target the behaviours that the exact search unit reads."""
    return sim._kept(sim.remember(side), author, category)


@pytest.mark.parametrize(("searched", "short"), [(2, 0), (3, 2), (12, 0), (50, 3)])
def test_hard_search_keeps_the_newest_of_the_targets_category(make_user, searched, short):
    side = with_categories(make_user(batch=9, history=12))
    category = torch.tensor([[0, 1, 2, 3, 9]])
    found = seen(hard(searched, short), side, torch.randn(1, 5, WIDTH), category)
    dropped = 0
    for row, length in enumerate(side.history_mask.sum(dim=1).tolist()):
        for place, wanted in enumerate(category[0].tolist()):
            older = range(max(0, length - short))
            same = [j for j in older if wanted and side.history_category[row, j] == wanted]
            dropped += len(same) > searched
            assert found[row, place].nonzero().flatten().tolist() == same[-searched:]
    assert bool(dropped) == (searched < 4)


def test_what_hard_search_leaves_out_does_not_count(make_user):
    side = with_categories(make_user(batch=4, history=12))
    sim, author, category = hard(3), torch.randn(4, 1, WIDTH), torch.tensor([[1], [2], [3], [1]])
    kept = seen(sim, side, author, category).any(dim=1)  # (B, H)
    before = sim.cross(sim.remember(side), author, category)
    side.history = torch.where(kept.unsqueeze(2), side.history, torch.randn(WIDTH) * 50)
    assert torch.allclose(before, sim.cross(sim.remember(side), author, category), atol=1e-5)
    side.history = torch.where(kept.unsqueeze(2), torch.randn(WIDTH) * 50, side.history)
    changed = (before - sim.cross(sim.remember(side), author, category)).abs().amax(dim=(1, 2)) > 1e-3
    assert torch.equal(changed, kept.any(dim=1)) and changed.any()


def test_a_search_without_a_match_gives_the_learned_vector(make_user):
    side = with_categories(make_user(), kinds=2)
    sim = hard(5)
    for nothing in (0, 7):  # unknown, and a category that no behaviour has
        out = sim.cross(sim.remember(side), torch.randn(1, 1, WIDTH), torch.tensor([[nothing]]))
        assert torch.allclose(out[:, 0], sim.empty.expand(5, -1))


def test_hard_search_has_no_weights_and_no_task_of_its_own(make_user):
    sim, author, labels = hard(5), torch.randn(5, 2, WIDTH), torch.ones(5, 2)
    assert not any(name.startswith(("search", "auxiliary")) for name, _ in sim.named_parameters())
    assert sim.auxiliary_loss(sim.remember(with_categories(make_user())), author, labels) is None
    soft = SIM(SIMSettings(width=WIDTH, searched=5))
    assert soft.auxiliary_loss(soft.remember(make_user()), author, labels) > 0


@pytest.mark.parametrize("short", [0, 3])
def test_soft_search_keeps_k_of_more_and_all_of_fewer(make_user, short):
    sim = SIM(SIMSettings(width=WIDTH, searched=5, short_length=short))
    side = make_user(batch=9, history=12)
    side.history[:, 1:] = side.history[:, :1]  # relevances tie, and still K are kept
    kept = seen(sim, side, torch.randn(1, 3, WIDTH), None).sum(dim=2)
    searchable = (side.history_mask.sum(dim=1) - short).clamp(min=0, max=5)
    assert torch.equal(kept, searchable[:, None].expand(-1, 3))


def test_the_short_unit_reads_the_newest_alone(make_user):
    sim, side = SIM(SIMSettings(width=WIDTH, searched=50, short_length=3)), make_user(batch=9, history=8)
    author = torch.randn(1, 4, WIDTH)
    found = sim.cross(sim.remember(side), author)[:, :, -WIDTH:]
    for row, length in enumerate(side.history_mask.sum(dim=1).tolist()):
        newest = side.history[row : row + 1, max(0, length - 3) : length]
        expected = sim.short_unit(newest, torch.ones(newest.shape[:2], dtype=torch.bool), author)
        assert torch.allclose(found[row], expected[0], atol=1e-5)


def test_gaps_are_to_the_request_and_not_to_the_newest_behaviour():
    times, moments = torch.tensor([[0.0, 90.0, 100.0], [5.0, 5.0, 700.0]]), torch.tensor([101.0, 600.0])
    expected = [
        [math.floor(math.log2(1 + max(0, moment - time))) for time in row]
        for row, moment in zip(times.tolist(), moments.tolist(), strict=True)
    ]
    assert gap_buckets(times, moments).tolist() == expected == [[6, 3, 1], [9, 9, 0]]


def test_hard_where_the_data_have_categories_and_soft_elsewhere():
    assert [chosen_search(None, there) for there in (True, False)] == ["hard", "soft"]
    assert [chosen_search("soft", there) for there in (True, False)] == ["soft", "soft"]
    assert chosen_search("hard", True) == "hard"
    with pytest.raises(InputError, match="search hard: the data have no categories; name a column"):
        chosen_search("hard", False)


@pytest.mark.parametrize(
    ("longest", "short", "idle"), [(5, 0, True), (6, 0, False), (8, 3, True), (9, 3, False), (2, 3, True)]
)
def test_a_search_that_leaves_nothing_out_is_said_to_be_idle(longest, short, idle):
    settings = SIMSettings(width=WIDTH, searched=5, short_length=short)
    assert (settings.idle(longest) is not None) == idle
    assert SIMSettings(search="hard", searched=5, short_length=short).idle(longest) is None


def test_the_auxiliary_loss_of_a_row_depends_neither_on_padding_nor_on_its_batch(make_user):
    """Histories of up to K behaviours, alone and beside a longer one."""
    sim, side = SIM(SIMSettings(width=WIDTH, searched=5)), make_user(batch=4, history=9)
    side.history_mask[:] = torch.arange(9) < torch.tensor([2, 5, 1, 9]).unsqueeze(1)
    author, labels = torch.randn(4, 2, WIDTH), torch.tensor([[1.0, 0.0]]).expand(4, 2)

    def loss(rows, width):
        part = UserSide(side.user[rows], side.history[rows, :width], side.history_mask[rows, :width])
        return sim.auxiliary_loss(sim.remember(part), author[rows], labels[rows])

    short, long = torch.arange(3), torch.tensor([3])
    torch.testing.assert_close(loss(short, 5), loss(short, 6))
    torch.testing.assert_close(loss(torch.arange(4), 9), (3 * loss(short, 5) + loss(long, 9)) / 4)
