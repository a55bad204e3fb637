"""Reports on a graph snapshot: sizes and costs of its build, and the paths behind a node's neighbours."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.caps import cap_costs
from mmbee_plugin.graph.hubs import capped
from mmbee_plugin.graph.metapaths import Metapath, explain
from mmbee_plugin.graph.names import Names
from mmbee_plugin.graph.refresh_cost import refresh_costs
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.offline.refresh import refresh_of
from mmbee_plugin.recbole.graphs import OpenedGraph

SIDES = {"u": "user", "a": "author"}


def built_table(snapshot: Snapshot) -> Table:
    """A table of a snapshot's parts and what each cost to build.

    A row is a graph, the long walk's lists or a metapath. Seconds are those of all its stages, folds included; memory
    is the peak of the process until their end, in MB (10^6 bytes).
    """
    costs = _costs(snapshot.manifest["stages"])
    table = Table(title=f"{snapshot.n_users:,} users, {snapshot.n_authors:,} authors", title_justify="left")
    table.add_column("graph", no_wrap=True)
    for heading in ("edges", "of", "with any", "mean", "seconds", "peak MB"):
        table.add_column(heading, justify="right", no_wrap=True)

    def add(name: str, start: str, lengths: np.ndarray) -> None:
        covered = f"{(lengths > 0).mean():.1%}", f"{lengths.mean():.1f}"
        table.add_row(
            name, f"{lengths.sum():,}", f"{SIDES[start]}s", *covered, *_in_words(costs.pop(name, []))
        )

    add("U2A", "u", np.diff(snapshot.u2a().indptr))
    add("A2A", "a", np.diff(snapshot.a2a().indptr))
    if snapshot.settings.reach_top_k:
        add("reach", "u", snapshot.reach_lists().along("reach").lengths)
    table.add_section()
    for name in snapshot.settings.metapaths:
        add(name, name[0], snapshot.lists(name[0]).along(name).lengths)
    table.add_section()
    for name, stages in costs.items():
        table.add_row(name, "", "", "", "", *_in_words(stages))
    table.add_section()
    table.add_row("all", "", "", "", "", *_in_words(snapshot.manifest["stages"]))
    return table


def caps_table(snapshot: Snapshot, caps: list[int], progress: Callable[[str], None]) -> Table:
    """A table of what caps on hubs cost on a snapshot's gifts, by cap and metapath.

    Overlap is the share of a node's exact list that its capped one has, for all nodes and for hubs; on paths from users
    the latter is of those who gave to a hub. Seconds are processor time, of Swing apart.
    """
    table = Table()
    for heading in ("cap", "hubs", "edges kept", "path", "overlap, all", "overlap, hubs", "cpu s"):
        table.add_column(heading, justify="right", no_wrap=True)
    progress("no cap")
    costs = cap_costs(snapshot.u2a(), snapshot.settings, caps)
    for turn, cost in enumerate(costs):
        name = "none" if cost.cap is None else f"{cost.cap:,}"
        table.add_row(
            name, f"{cost.hubs:,}", f"{cost.edges:.2%}", "swing", "", "", f"{cost.seconds['swing']:.2f}"
        )
        for path, share in cost.overlap.items():
            hubs = cost.overlap_of_hubs[path]
            of_hubs = "" if np.isnan(hubs) else f"{hubs:.3f}"
            table.add_row("", "", "", path, f"{share:.3f}", of_hubs, f"{cost.seconds[path]:.2f}")
        table.add_section()
        if turn < len(caps):
            progress(f"cap {caps[turn]:,}")
    return table


def refresh_table(refreshed: OpenedGraph, previous: Path, progress: Callable[[str], None]) -> Table:
    """A table of what a refresh costs against a rebuild, by metapath.

    Overlap is the share of a node's exact list that its refreshed one has, for all nodes and for those that keep an
    earlier list. Seconds are processor time.

    Args:
        refreshed: the graph of the day.
        previous: the snapshot that it was refreshed from.
    """
    folder, snapshot = refreshed.folder, refreshed.snapshot
    names = Names(folder.user_tokens, folder.item_tokens, folder.origin)
    asked = snapshot.settings.replace(refresh_from=str(previous), refresh_limit=sys.maxsize)
    refresh = refresh_of(names, asked)
    assert refresh is not None
    table = Table()
    for heading in ("path", "refreshed", "overlap, all", "overlap, kept", "cpu s", "rebuild", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    spent = np.zeros(2)
    for cost in refresh_costs(snapshot.u2a(), snapshot.settings, refresh):
        progress(f"compared: {cost.path}")
        seconds = np.array([cost.seconds, cost.exact_seconds])
        spent += seconds
        shares = f"{cost.refreshed:.1%}", f"{cost.overlap:.3f}", f"{cost.overlap_of_kept:.3f}"
        table.add_row(cost.path, *("" if "nan" in one else one for one in shares), *_of_both(seconds))
    table.add_section()
    table.add_row("all", "", "", "", *_of_both(spent))
    return table


def _of_both(seconds: np.ndarray) -> tuple[str, str, str]:
    return f"{seconds[0]:.2f}", f"{seconds[1]:.2f}", f"{seconds[0] / max(seconds[1], 1e-9):.2f}"


def _costs(stages: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The stages of each row of the table, those of all folds included; a modality's row covers all metapaths."""
    costs: dict[str, list[dict[str, Any]]] = {}
    for stage in stages:
        name = stage["stage"].partition(" without ")[0]
        modality, along, _ = name.partition(" along ")
        costs.setdefault(f"mean {modality}" if along else name, []).append(stage)
    return costs


def _in_words(stages: list[dict[str, Any]]) -> tuple[str, str]:
    """Seconds and peak memory of some stages; blank of none, as for graphs whose stages an older version named."""
    if not stages:
        return "", ""
    seconds = sum(stage["seconds"] for stage in stages)
    return f"{seconds:.2f}", f"{max(stage['peak_megabytes_so_far'] for stage in stages):,.0f}"


def neighbour_lines(
    graph: OpenedGraph, side: str, token: str, metapath: str | None, top: int, paths: int
) -> Iterator[str]:
    """One node's neighbours by metapath, best first, and under each the heaviest paths that lead to it.

    Args:
        side: ``u`` or ``a``, where the node is.
        token: the node's name in the dataset.
        metapath: the one to show; all of that side by default.
        top: neighbours to show a metapath.
        paths: paths to show a neighbour.

    Raises:
        InputError: an unknown token, a metapath that is malformed, starts at the other side, or is not in the snapshot.
    """
    folder, snapshot = graph.folder, graph.snapshot
    tokens = {"u": folder.user_tokens, "a": folder.item_tokens}
    row = _row_of(tokens[side], token, f"{folder.path}: {SIDES[side]}")
    u2a, a2a, chosen = snapshot.u2a(), snapshot.a2a(), snapshot.settings
    sample = capped(u2a, chosen.walk_max_users, chosen.hub_seed)
    for path in _chosen_paths(snapshot, side, metapath):
        ids, weights = snapshot.lists(side).along(path.name).of(row)
        yield f"{path.name}: {SIDES[side]} {token} has {len(ids)} neighbours, all {SIDES[path.end]}s"
        for end, weight in zip(ids[:top].tolist(), weights[:top].tolist(), strict=True):
            yield f"  {weight:.6f}  {SIDES[path.end]} {tokens[path.end][end]}"
            walks = explain(path, u2a, a2a, row, end, normalisation=chosen.normalisation, sample=sample)
            for walk in walks[:paths]:
                names = [
                    f"{SIDES[kind]} {tokens[kind][node]}"
                    for kind, node in zip(path.nodes, walk.nodes, strict=True)
                ]
                yield f"    {walk.weight:.6f}  {' > '.join(names)}"
            if len(walks) > paths:
                rest = sum(walk.weight for walk in walks[paths:])
                yield f"    {rest:.6f}  {len(walks) - paths:,} more paths"


def _row_of(tokens: Any, token: str, where: str) -> int:
    row = int(pd.Index(np.asarray(tokens, dtype=object)).get_indexer([token])[0])
    if row < 0:
        raise InputError(f"{where} {token!r} is not known; known are {len(tokens):,}, such as {tokens[0]}")
    return row


def _chosen_paths(snapshot: Snapshot, side: str, metapath: str | None) -> list[Metapath]:
    stored = [Metapath.parse(name) for name in snapshot.settings.metapaths]
    of_side = [path for path in stored if path.start == side]
    if metapath is None:
        return of_side
    wanted = Metapath.parse(metapath)
    if wanted not in of_side:
        known = ", ".join(path.name for path in of_side) or "none"
        raise InputError(
            f"metapath {metapath}: not one of the graph's from {SIDES[side]}s, which are: {known}"
        )
    return [wanted]
