"""Verdicts say what was found, and what it cannot bear."""

from __future__ import annotations

import pytest

from mmbee_plugin.evaluation.bootstrap import Interval, PairedDifference
from mmbee_plugin.experiments.comparison import Difference
from mmbee_plugin.experiments.sheet import p_text, with_ends
from mmbee_plugin.experiments.verdict import MIXED, above, framed, gains, listed, within_chance

METRICS = {"auc": "AUC", "gauc": "GAUC"}


def differing(**of_metrics: tuple[float, float]) -> Difference:
    """A difference by metric: (gain, p)."""
    found = {name: PairedDifference(Interval(gain, 0, 0, 0), p) for name, (gain, p) in of_metrics.items()}
    return Difference(found, {name: p for name, (_, p) in of_metrics.items()})


def test_what_cannot_be_borne_is_said_first():
    assert framed("the model is above", "real", 3) == "The model is above."
    assert framed("the model is above", "real") == "The model is above."
    assert framed("the model is above", "simulated", 2) == "In a simulation, the model is above."
    assert framed("it is", MIXED, 2) == "On data of which some are generated, it is."
    assert framed("it is", "real", 1) == "Nothing follows from one training of each model; here, it is."
    assert framed("it is", "simulated", 1).startswith(
        "Nothing follows from one training of each model in a sim"
    )
    for seeds in (None, 1, 3):
        assert (
            framed("it is", "sample", seeds) == "Nothing follows from a generated sample; in this one, it is."
        )


def test_a_row_above_the_others_with_what_may_be_chance():
    others = {
        "SIM": differing(auc=(0.02, 0.001), gauc=(0.01, 0.2)),
        "DIN": differing(auc=(0.03, 0.001), gauc=(-0.01, 0.6)),
        "MMoE": differing(auc=(0.01, 0.04), gauc=(0.02, 0.03)),
    }
    found = "MMBee is above all 3 other rows on AUC and 2 of 3 on GAUC"
    assert above("MMBee", others, METRICS, True) == f"{found}; 2 of 6 differences are within chance"
    assert above("MMBee", others, METRICS, False) == found
    del others["MMoE"]
    assert above("MMBee", others, {"auc": "AUC"}, False) == "MMBee is above both other rows on AUC"
    del others["DIN"]
    assert above("MMBee", others, METRICS, False) == "MMBee is above SIM on AUC and GAUC"
    below = {"SIM": differing(auc=(-0.1, 0.9))}
    assert above("MMBee", below, {"auc": "AUC"}, True) == (
        "MMBee is above none of 1 on AUC; the difference is within chance"
    )


@pytest.mark.parametrize(
    ("tested", "expected"),
    [
        (True, "of 4 differences from Ours, 1 is a gain and 1 a loss beyond chance, 2 within it"),
        (False, "of 4 differences from Ours, 2 are gains and 2 losses"),
    ],
)
def test_gains_and_losses_of_rows(tested, expected):
    rows = {
        "q_m(-)": differing(auc=(0.01, 0.2), gauc=(0.03, 0.001)),
        "h_g(-)": differing(auc=(-0.03, 0.01), gauc=(-0.01, 0.5)),
    }
    assert gains("Ours", rows, METRICS, tested) == expected


def test_a_p_value_that_is_unknown_is_not_beyond_chance():
    few = float("nan")
    assert within_chance([0.01, few, 0.2]) == "2 of 3 differences are within chance"
    assert within_chance([few]) == "the difference is of too few users to tell from chance"
    assert gains("Ours", {"SIM": differing(auc=(0.1, few))}, ["auc"], True).endswith("within it")
    assert p_text(few) == "unknown" and p_text(0.0404) == "0.040"
    assert with_ends(Interval(0.5, few, few, few), "{:.1f}".format) == "0.5"
    assert with_ends(Interval(0.5, 0.1, 0.2, 0.8), "{:.1f}".format) == "0.5 [0.2, 0.8]"


def test_lists_and_counts_in_words():
    assert [listed(parts) for parts in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert within_chance([0.01, 0.02]) == "none of 2 differences is within chance"
    assert within_chance([0.01, 0.2]) == "1 of 2 differences is within chance"
    assert within_chance([0.01]) == "the difference is beyond chance"
