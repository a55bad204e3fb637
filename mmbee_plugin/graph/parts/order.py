"""Which steps a snapshot's parts have, and in which order."""

from __future__ import annotations

from mmbee_plugin.graph.metapaths import Metapath, Normalisation
from mmbee_plugin.graph.parts.mapped import CONTENT, product_kind
from mmbee_plugin.graph.parts.steps import (
    Content,
    Gifts,
    Lists,
    Product,
    Reach,
    Similar,
    Step,
    Triangles,
    Weights,
)
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.snapshot import graphs_of


def steps_of(settings: GraphSettings, positives: tuple[str, ...]) -> list[Step]:
    """All steps, each after those that it reads.

    Args:
        settings: of the stage.
        positives: metapaths of GraphCL's positives; those that are not stored make lists of their own.
    """
    by_graph = [_of_graph(settings, positives if fold is None else (), fold) for fold in graphs_of(settings)]
    kinds = dict.fromkeys(step.kind for steps in by_graph for step in steps)
    return [step for kind in kinds for steps in by_graph for step in steps if step.kind == kind]


def _of_graph(settings: GraphSettings, positives: tuple[str, ...], fold: int | None) -> list[Step]:
    chosen, normalisation = settings.metapaths, settings.normalisation
    others = tuple(name for name in positives if name not in chosen)
    steps: list[Step] = [
        Gifts(fold, "gifts", ()),
        Triangles(fold, "triangles", ("gifts",)),
        Similar(fold, "similar", ("gifts", "triangles")),
    ]
    read = ["gifts"]
    if any("a2a" in Metapath.parse(name).steps for name in chosen):
        steps.append(Weights(fold, "weights", ("similar",)))
        read += ["similar", "weights"]
    walks = [(normalisation, name) for name in (*chosen, *others)]
    walks += [("row", "u2a2u2a")] if settings.reach_top_k else []
    ends: dict[tuple[Normalisation, tuple[str, ...]], dict[str, None]] = {}
    for one, name in walks:
        if (path := Metapath.parse(name)).hops == 3:
            ends.setdefault((one, path.steps[1:]), {})[name] = None
    products = [
        Product(fold, product_kind(*end), tuple(read), *end, tuple(names)) for end, names in ends.items()
    ]
    read += [product.kind for product in products]
    steps += products
    if settings.reach_top_k:
        steps.append(Lists(fold, "around", tuple(read), ("a2u2a",), "row", False, settings.reach_inner))
        joined = [*read, "around"]
        if settings.steps_by_content:
            steps += [Content(fold, CONTENT, ())] if fold is None else []
            joined.append(CONTENT)
        steps.append(Reach(fold, "reach", tuple(joined)))
    for group, names in (("lists", chosen), ("positives", others)):
        for side in "ua":
            if paths := tuple(name for name in names if name[0] == side):
                kept = normalisation, settings.exclude_own, settings.top_k
                steps.append(Lists(fold, f"{group}-{side}", tuple(read), paths, *kept))
    return steps
