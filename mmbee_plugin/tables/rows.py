"""Rows of the paper's labelled tables, each a choice of backbone, content and interest encoder and other settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.rows import PAPER, Row, Settings, check_own, chosen, kept_note
from mmbee_plugin.recbole.config.files import paper_settings
from mmbee_plugin.recbole.config.sources import merged
from mmbee_plugin.tables.parts import model_parts, without_each

NUMBERS = (2, 4, 5, 6, 7)
"""tables on labelled samples; Table 3 ranks, see :mod:`mmbee_plugin.tables.ranking`"""
WIDTHS = (32, 64, 128)
LENGTHS = (5, 10, 20)

FULL: Settings = {"backbone": "sim", "content": "mfq", "interest": "gie"}

SLOTS: dict[str, tuple[str, str]] = {
    "": ("none", "none"),
    "+BDR": ("none", "bdr"),
    "+MTA": ("mta", "none"),
    "+EgoFusion": ("ego_fusion", "none"),
    "+concat": ("concat", "none"),
    "+MFQ": ("mfq", "none"),
    "+GIE": ("none", "gie"),
    "+MFQ+GIE": ("mfq", "gie"),
}
"""Table 2: suffix of a row -> content encoder and interest encoder on the backbone"""


@dataclass(frozen=True)
class Table:
    """A table of the paper."""

    number: int
    title: str
    headings: tuple[str, ...]
    """headings of the leading columns, which name the row."""
    rows: tuple[Row, ...]
    full: str | None = None
    """name of the full model's row, compared with every other one."""
    costs: bool = False
    """whether to print speed and FLOPs."""
    metrics: tuple[str, ...] = field(default=("auc", "uauc", "gauc"))

    @property
    def name(self) -> str:
        """Name for messages, such as ``table 2``."""
        return f"table {self.number}"

    def only(self, names: Sequence[str]) -> Table:
        """The table with these rows and their baselines; all rows for no names.

        Raises:
            InputError: an unknown name.
        """
        rows = chosen(self.rows, names, self.name)
        return replace(self, rows=rows, full=self.full if self.full in {row.name for row in rows} else None)

    def notes(self, given: Settings) -> list[str]:
        """Notes on rows whose own settings win over those given for all rows."""
        found = []
        for row in self.rows:
            if row.name == PAPER:
                found.append(
                    f"{PAPER}: the settings of recbole_configs/paper.yaml, over the dataset's; the other rows have the "
                    "dataset's alone."
                )
            found += kept_note(row.name, row.settings, given) if row.keeps else []
        return found

    def check_settings(self, given: Settings) -> None:
        """Raises InputError for a given setting that a row makes itself, unless the row ``keeps`` its own."""
        check_own(self.rows, given, self.name)


def check_number(number: int) -> None:
    """Raises InputError for a ``number`` that is no table of the paper."""
    if number not in NUMBERS:
        raise InputError(f"table {number} is not one of {', '.join(map(str, sorted((*NUMBERS, 3))))}")


def make_table(number: int, modalities: Sequence[str], metapaths: Sequence[str]) -> Table:
    """Table ``number`` of the paper.

    Args:
        modalities: of the dataset; Table 4 leaves out one a row.
        metapaths: of the model; Table 7 leaves out one a row.

    Raises:
        InputError: unknown table, or fewer than two modalities or metapaths.
    """
    check_number(number)
    makers = {2: _methods, 4: _modalities, 5: _widths, 6: _lengths, 7: _parts}
    if number == 4 and len(modalities) < 2:
        raise InputError(
            f"table 4 leaves out one modality at a time, the data have {', '.join(modalities) or 'none'}"
        )
    if number == 7 and len(metapaths) < 2:
        raise InputError(
            f"table 7 leaves out one metapath at a time, the model has {', '.join(metapaths) or 'none'}"
        )
    return makers[number](list(modalities), list(metapaths))


def _methods(_modalities: list[str], _metapaths: list[str]) -> Table:
    rows = []
    for backbone, title in (("mmoe", "MMoE"), ("sim", "SIM")):
        for slots, (content, interest) in SLOTS.items():
            settings = {"backbone": backbone, "content": content, "interest": interest}
            rows.append(Row(title + slots, settings, title if slots else None))
    for backbone in ("din", "dien"):
        rows.append(Row(backbone.upper(), {"backbone": backbone, "content": "none", "interest": "none"}))
    rows.append(Row(PAPER, merged(FULL, paper_settings()), "SIM", keeps=True))
    return Table(2, "Performance of different methods", ("Methods",), tuple(rows), full="SIM+MFQ+GIE")


def _modalities(modalities: list[str], _metapaths: list[str]) -> Table:
    rows = [Row("MMBee", FULL, None, ("MMBee", *"√" * len(modalities)))]
    for left_out, kept in without_each(modalities):
        marks = ("-" if name == left_out else "√" for name in modalities)
        name = f"{left_out}(-)"
        rows.append(Row(name, {**FULL, "modalities": kept}, "MMBee", (name, *marks)))
    return Table(4, "Ablation study on the modalities", ("Methods", *modalities), tuple(rows))


def _widths(_modalities: list[str], _metapaths: list[str]) -> Table:
    rows = _growing("mfq_width", "width {}", WIDTHS)
    return Table(5, "The influence of the dimension of MFQ", ("Dimension",), rows, costs=True)


def _lengths(_modalities: list[str], _metapaths: list[str]) -> Table:
    rows = _growing("segments", "{} segments", LENGTHS)
    return Table(6, "The influence of the number of segments", ("Length",), rows, costs=True)


def _growing(setting: str, name: str, values: tuple[int, ...]) -> tuple[Row, ...]:
    """A row for each value of a setting, with the first as baseline."""
    first = values[0]
    return tuple(
        Row(
            name.format(value),
            {**FULL, setting: value},
            None if value == first else name.format(first),
            (str(value),),
        )
        for value in values
    )


def _parts(_modalities: list[str], metapaths: list[str]) -> Table:
    without: list[tuple[str, str, Settings]] = [("-", "SIM", {"content": "none", "interest": "none"})]
    without += [(part.kind, part.operator, part.without) for part in model_parts(metapaths) if part.operator]
    rows = [Row(name, {**FULL, **change}, "Ours", (kind, name)) for kind, name, change in without]
    rows.append(Row("Ours", FULL, None, ("-", "Ours")))
    return Table(7, "Ablation study on graph and multi-modal parts", ("Category", "Operator"), tuple(rows))
