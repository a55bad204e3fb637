"""RecBole's DIN over all items at once: the scores of ``predict`` for every pair, bounded in memory."""

from __future__ import annotations

import pytest
import torch
from recbole.data import data_preparation
from recbole.model.sequential_recommender.din import DIN
from recbole.trainer import Trainer

from mmbee_plugin.recbole.training import din
from mmbee_plugin.recbole.training.trainer import resumable

COLUMNS = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "kind", "tags"]}


class Extended(DIN):
    """Adds nothing to a score."""

    def calculate_loss(self, interaction):
        return 2 * super().calculate_loss(interaction)


class Shifted(DIN):
    """Scores otherwise."""

    def forward(self, user, item_seq, item_seq_len, next_items):
        return super().forward(user, item_seq, item_seq_len, next_items) + 0.1 * next_items


@pytest.fixture
def trained(write_folder, make_dataset, random_rows):
    """Makes a model with weights and moments of its own under our trainer, and RecBole's trainer for the same model."""
    folder = write_folder(random_rows)
    rows = [f"i{item}\tk{item % 3}\t{' '.join(f't{tag}' for tag in range(item % 4))}" for item in range(40)]
    (folder / "tiny.item").write_text("\n".join(["item_id:token\tkind:token\ttags:token_seq", *rows]) + "\n")

    def make(model_class=DIN, **settings):
        config, dataset = make_dataset("DIN", **({"mlp_hidden_size": [12, 8]} | settings))
        train, valid, _ = data_preparation(config, dataset)
        model = model_class(config, train.dataset)
        stock = Trainer(config, model)
        torch.manual_seed(0)
        with torch.no_grad():
            for weight in model.parameters():
                weight.normal_(std=0.6)
            for moment in model.buffers():  # of batch normalisation, never 0 and 1
                moment.add_(torch.rand_like(moment.float()).to(moment.dtype))
        for trainer in (ours := resumable(Trainer)(config, model), stock):
            trainer.tot_item_num = train.dataset.item_num
            trainer.item_tensor = train.dataset.get_item_feature()
        model.double().eval()  # no rounding to speak of
        return model, ours, next(iter(valid))

    return make


def by_pairs(model, interaction):
    """(B, n_items): ``predict`` of every pair."""
    rows = interaction.repeat_interleave(model.n_items)
    rows["item_id"] = torch.arange(model.n_items).repeat(len(interaction))
    return model.predict(rows).view(len(interaction), -1)


@torch.no_grad()
@pytest.mark.parametrize("cells", [1 << 20, 1 << 10, 1], ids=["at once", "in parts", "pair by pair"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"load_col": COLUMNS}, {"load_col": COLUMNS, "pooling_mode": "max", "mlp_hidden_size": [7]}],
    ids=["ids alone", "item features", "one layer"],
)
def test_the_scores_are_those_of_every_pair(trained, monkeypatch, cells, settings) -> None:
    monkeypatch.setattr(din, "CELLS", cells)
    model, trainer, batch = trained(**settings)
    batch[0]["item_length"][0] = 0  # a user without a history: no place of it counts
    expected = by_pairs(model, batch[0])
    assert min(expected.std(dim=axis).mean() for axis in (0, 1)) > 0.01  # users differ, and items
    monkeypatch.setattr(model, "predict", None)
    torch.testing.assert_close(model.full_sort_predict(batch[0]), expected, atol=1e-12, rtol=0)
    expected[:, 0] = expected[batch[1]] = -torch.inf
    torch.testing.assert_close(trainer._full_sort_batch_eval(batch)[1], expected, atol=1e-12, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize(("model_class", "at_once"), [(Extended, True), (Shifted, False)])
def test_a_class_made_from_it_is_ranked_by_its_own_scores(trained, model_class, at_once) -> None:
    model, trainer, batch = trained(model_class)
    expected = by_pairs(model, batch[0])
    expected[:, 0] = expected[batch[1]] = -torch.inf
    torch.testing.assert_close(trainer._full_sort_batch_eval(batch)[1], expected, atol=1e-12, rtol=0)
    assert ("full_sort_predict" in vars(model)) == at_once
    assert DIN.full_sort_predict is not din.din_scores
