"""Colours of plots, told apart with any colour vision (Okabe and Ito, 2008), and those that models have everywhere."""

from __future__ import annotations

from collections.abc import Iterable

BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY, YELLOW, GREY = "#e69f00", "#56b4e9", "#f0e442", "#7a828e"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, GREY)
"""colours of lines and bars, in order; yellow is for areas"""
OF_MODELS = {
    "MMBee": VERMILLION,
    "SIM": BLUE,
    "LightGCN": GREEN,
    "SASRec": PURPLE,
    "DIN": SKY,
    "MMMLP": ORANGE,
}


OWN = OF_MODELS["MMBee"]
"""of the one model that a report is about"""
FULL = ("SIM+MFQ+GIE", "Ours", "MMBee, the paper's")
"""further names of MMBee in the paper's tables"""


def of_models(names: Iterable[str]) -> dict[str, str]:
    """A colour for each model of a plot: its own, or one that no other has there, or grey if these run out."""
    listed = list(names)
    own = {name: OWN if name in FULL else OF_MODELS.get(name) for name in listed}
    free = iter([colour for colour in SERIES if colour not in own.values()])
    return {name: colour or next(free, GREY) for name, colour in own.items()}
