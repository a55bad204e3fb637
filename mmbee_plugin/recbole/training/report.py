"""Reports of a run: a table on the screen, lines in the log, a JSON file; each names its data."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader

from mmbee_plugin.command import threads
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import write_json
from mmbee_plugin.modules.parts import reads_graph


@dataclass(frozen=True)
class RunResult:
    """One trained and tested model.

    Attributes:
        name: of its row in a comparison: the model, and what differs from its other variants.
        valid, test: metric name (``recall@10``) -> value; of the epoch that was best on validation data. Without a
            test, none.
        dataset: name, kind, source, counts, ``split``, a digest of the validation and test pairs, ``split_by``, how
            they were split, and ``row_order``.
        settings: every setting in effect.
        seconds: wall time from reading the data to the test metrics.
        peak_rss_mb: peak resident memory of the process in that time, in MB (10^6 bytes).
        checkpoint: file with the weights of the best epoch.
        log: file of RecBole's log.
        threads: numbers of torch's threads and of cores, and OpenMP's wait policy.
    """

    name: str
    model: str
    valid: dict[str, float]
    test: dict[str, float]
    dataset: dict[str, Any]
    settings: dict[str, Any]
    seconds: float
    peak_rss_mb: float
    checkpoint: str
    log: str
    threads: dict[str, Any] = field(default_factory=threads.described)


def provenance_lines(folder: DatasetFolder) -> list[str]:
    """Provenance of the data, a notice if it is not real, and warnings for features that are not read."""
    lines = [f"Data: {folder.provenance()}"]
    if folder.kind != "real":
        real = f"the real {folder.name} data" if folder.get_real else "any real data"
        lines.append(
            f"{folder.kind.upper()}: these figures are of generated data and say nothing about {real}."
        )
    if folder.get_real:
        lines.append(folder.get_real)
    return [*lines, *(f"warning: {line}" for line in folder.unread)]


def dataset_facts(
    folder: DatasetFolder, valid_data: AbstractDataLoader, test_data: AbstractDataLoader
) -> dict[str, Any]:
    """The ``dataset`` entry of a result; models that are tested on the same pairs have equal digests of the split."""
    digest = hashlib.sha256()
    for loader in (valid_data, test_data):
        rows = loader.dataset.inter_feat
        pairs = np.stack(
            [rows[loader.dataset.uid_field].numpy(), rows[loader.dataset.iid_field].numpy()], axis=1
        )
        digest.update(np.ascontiguousarray(pairs[np.lexsort(pairs.T)]).tobytes())
    return {
        "name": folder.name,
        "kind": folder.kind,
        "source": folder.source,
        "get_real": folder.get_real,
        "ordered": folder.ordered,
        "counts": dict(folder.counts),
        "hash": folder.hash,
        "split": digest.hexdigest()[:16],
    }


GRAPH_COST = (
    "seconds: from reading the data to the test metrics; the graph stage and its compilation are in them, and in peak "
    "MB, only if this run built the graph."
)
"""footnote of the table of models that read a graph"""


def table(results: Sequence[RunResult]) -> str:
    """Plain-text table with a row per model and split, and columns of metrics and costs."""
    metrics = list(results[0].valid)
    rows = [["model", "split", *metrics, "seconds", "peak MB"]]
    for result in results:
        tested = [("test", result.test)] if result.test else []
        for split, values in (("valid", result.valid), *tested):
            last = split == "test" or not tested
            cost = [f"{result.seconds:.1f}", f"{result.peak_rss_mb:.0f}"] if last else ["", ""]
            rows.append([result.name, split, *(f"{values[name]:.4f}" for name in metrics), *cost])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    graph = any(
        reads_graph(each.settings.get("interest"), each.settings.get("metapaths")) for each in results
    )
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], *(["", GRAPH_COST] if graph else [])])


def file_lines(results: Sequence[RunResult]) -> list[str]:
    """Lines with each run's checkpoint and log, and the commands that read the checkpoint."""
    lines = []
    for result in results:
        lines.append(f"{result.name}: weights of the best epoch in {result.checkpoint}, log in {result.log}")
        if result.model == "MMBee":
            labelled = set(result.settings["eval_args"]["mode"].values()) == {"labeled"}
            own = ("diagnose {}", "explain {}") if labelled else ("export {} FILE",)
            uses = [use.format(result.checkpoint) for use in (*own, "bundle build {} bundles")]
            lines += [f"  read by mmbee {use}" for use in uses]
    return lines


def write_results(path: Path, results: Sequence[RunResult], as_list: bool) -> None:
    """Writes one JSON object, or a list of them, atomically. Raises InputError if the file cannot be written."""
    content = [asdict(result) for result in results]
    try:
        write_json(path, content if as_list else content[0])
    except OSError as error:
        raise InputError(f"{path}: the result cannot be written: {one_line(error)}") from None
