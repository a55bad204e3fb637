"""The gate: a planted bad model closes it, a model that is another by chance does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.daily.gate import GateSettings, judge
from mmbee_plugin.daily.norms import drift
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import gauc

RNG = np.random.default_rng


@pytest.fixture(scope="module")
def served(planted_day):
    return planted_day(3)


def failed(verdict) -> set[str]:
    assert verdict.opens is (not [check for check in verdict.checks if not check.passed])
    return {check.name for check in verdict.checks if not check.passed}


def noise(scale: float, seed: int = 0):
    return lambda logits: logits + RNG(seed).normal(0, scale, logits.shape)


BAD = {
    "random scores": (lambda logits: RNG(0).permuted(logits), {"GAUC", "log loss"}),
    "much noise": (noise(1.5), {"GAUC", "log loss", "predicted over observed"}),
    "the other way round": (lambda logits: 2 * logits.mean() - logits, {"GAUC", "log loss"}),
    "out of calibration": (lambda logits: logits + 0.8, {"log loss", "predicted over observed"}),
    "too sure": (lambda logits: logits.mean() + 4 * (logits - logits.mean()), {"log loss"}),
    "a NaN": (lambda logits: np.where(np.arange(len(logits))[:, None] == 77, np.nan, logits), {"scores"}),
    "all alike": (np.zeros_like, {"GAUC", "log loss", "PSI"}),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_model_closes_it(served, kind, with_logits):
    change, expected = BAD[kind]
    verdict = judge(with_logits(served, change), served)
    assert not verdict.opens and expected <= failed(verdict)
    assert all(name in verdict.reason for name in expected) and "\n" not in verdict.reason
    assert verdict.described()["opens"] is False


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_is_another_by_chance_passes(served, seed, with_logits):
    """Small noise costs a little GAUC; on another day as much noise is in the served model."""
    assert not failed(judge(with_logits(served, noise(0.1, seed)), served))
    assert not failed(judge(served, with_logits(served, noise(0.6, seed))))


def test_a_drop_that_may_be_chance_passes_and_the_same_drop_on_more_rows_does_not(served, with_logits):
    """With few rows even a drop beyond the limit says nothing."""

    def drop(rows):
        few = served.taken(np.sort(RNG(3).permutation(len(served))[:rows]))
        candidate = with_logits(few, noise(0.7, 1))
        metric = [gauc(each.users, each.labels[:, 0], each.logits[:, 0]) for each in (candidate, few)]
        return metric[0] - metric[1], judge(candidate, few)

    (small, few), (large, many) = drop(700), drop(len(served))
    assert small < -0.005 and "GAUC" not in failed(few)
    assert large < -0.005 and "GAUC" in failed(many)


def test_few_users_close_it_by_no_metric(served, with_logits):
    """Nine givers whom the candidate ranks the other way round, and whose every draw says so; then a tenth."""
    givers = list(dict.fromkeys(served.users[served.labels[:, 0] == 1].tolist()))
    for count, expected in ((9, set()), (10, {"GAUC"})):
        few = served.taken(np.isin(served.users, givers[:count]))
        best = with_logits(few, lambda logits, few=few: np.where(few.labels == 1, 1.0, -1.0))
        verdict = judge(with_logits(few, lambda logits, few=few: np.where(few.labels == 1, -1.0, 1.0)), best)
        assert failed(verdict) & {"GAUC"} == expected
        assert ("-1.0000 (too few users)" in verdict.described()["checks"][-4]["words"]) == (count == 9)


def test_where_both_are_out_of_calibration_the_nearer_one_passes(served, with_logits):
    """The log has shifted; a closed gate would keep the model that is further off."""
    further, nearer = (with_logits(served, lambda logits, by=by: logits + by) for by in (1.2, 0.6))
    assert "predicted over observed" not in failed(judge(nearer, further))
    assert "predicted over observed" in failed(judge(further, nearer))


def test_scores_that_shift_close_it_unless_they_are_better(served, with_logits):
    """Half of the rows have one score."""
    half = with_logits(served, lambda logits: np.where(np.arange(len(logits))[:, None] % 2, -2.0, logits))
    assert "PSI" in failed(judge(half, served))
    verdict = judge(served, half)
    assert failed(verdict) == set()
    assert "with a lower log loss (limit 0.25)" in verdict.reason


def test_level_and_spread_of_the_chances_are_no_matter_of_psi(served, with_logits):
    for by, times in ((-1.5, 1.0), (0.4, 2.0), (5.0, 0.1)):
        verdict = judge(with_logits(served, lambda logits, by=by, times=times: by + times * logits), served)
        words = next(check.words for check in verdict.checks if check.name == "PSI")
        assert float(words.split()[0]) < 0.01 and words.endswith("(limit 0.25)")


def test_coverage_and_scores_that_are_missing(served):
    lost = RNG(2).random(len(served)) < 0.03

    def without(rows):
        return replace(served, covered={name: had & ~rows for name, had in served.covered.items()})

    assert failed(judge(without(lost), served)) == {"coverage: user"}
    assert failed(judge(without(RNG(3).random(len(served)) < 0.5), served)) == {
        "coverage: user",
        "coverage: user's neighbours",
    }
    missing = replace(
        served,
        missing={"unknown author": lost},
        logits=np.where(lost[:, None], np.nan, served.logits),
    )
    verdict = judge(missing, served)
    assert failed(verdict) == {"coverage: scored"}  # and its other rows are compared
    assert failed(judge(missing, served, settings=GateSettings(coverage_drop=0.04))) == set()
    nothing = replace(served, missing={"unknown author": np.ones(len(served), bool)})
    assert "scores none of" in judge(nothing, served).reason


def test_norms_that_grow_or_shrink(served):
    before = {"users": 2.0, "authors": 1.0, "gone": 1.0}
    for after, passes in (({"users": 2.9, "authors": 0.7}, True), ({"users": 3.1, "authors": 1}, False),
                          ({"users": 2, "authors": 0.6}, False), ({"users": np.nan, "authors": 1}, False),
                          ({"users": 0.0, "authors": 1}, False)):  # fmt: skip
        assert judge(served, served, (before, after)).opens is passes
    assert drift(before, {"users": 3.0, "new": 1.0}) == {"users": pytest.approx(0.5)}


def test_parts_and_tables_that_turn_away(served):
    for turned, passes in (({"head": 0.99, "authors": 0.81}, True), ({"head": 0.99, "authors": 0.7}, False),
                           ({"head": np.nan, "authors": 0.99}, False), ({}, True), (None, True)):  # fmt: skip
        assert judge(served, served, directions=turned).opens is passes
    assert "cosine 0.700 of authors" in judge(served, served, directions={"authors": 0.7, "head": 1.0}).reason


def test_each_day_since_the_served_bundle_may_turn_the_candidate(served):
    """A day that was kept back does not keep back those after it, which were trained on further days."""
    for cosine, days, passes in ((0.7, 2, True), (0.63, 2, False), (0.52, 3, True), (0.51, 3, False)):
        verdict = judge(served, served, directions={"authors": cosine}, days=days)
        assert verdict.opens is passes
    assert "limit 0.512" in verdict.reason
    assert judge(served, served, directions={"a": -0.9}, settings=GateSettings(direction=-1), days=2).opens


def test_the_first_bundle_and_data_without_both_labels(served, with_logits):
    assert failed(judge(served)) == set()
    off = judge(with_logits(served, lambda logits: logits + 1))
    assert off.opens and "predicted over observed 2." in off.reason
    same = replace(served, labels=np.zeros_like(served.labels))
    verdict = judge(same, same)
    assert "GAUC" in failed(verdict) and "no user has both a gift and a negative" in verdict.reason


def test_what_cannot_be_compared(served):
    with pytest.raises(ValueError, match="different rows"):
        judge(served.taken(np.arange(10)), served)
    with pytest.raises(InputError, match="trained on drawn negatives"):
        judge(replace(served, trained_share=None), served)
    with pytest.raises(InputError, match="gauc_drop"):
        GateSettings(gauc_drop=-1)
