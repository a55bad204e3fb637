"""The time left of a build of the graph stage: predicted work of what it has to make, scaled by what has been made.

The work of each graph is that of a population with as many gifts (:mod:`~mmbee_plugin.graph.plan`), so a build with
folds is measured well once it has made its first graph.
"""

from collections.abc import Mapping

from mmbee_plugin.command.time_left import TimeLeft
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.metapaths import in_turn
from mmbee_plugin.graph.plan import COSTS, plan
from mmbee_plugin.graph.population import Population
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import graphs_of
from mmbee_plugin.graph.stages import Spent

EXPONENT = 0.75
"""of authors' gifts, as in `mmbee graph plan`"""


def works_of(
    gifts: Interactions, settings: GraphSettings, passes: int = 0, content_width: int = 0
) -> dict[str, float]:
    """Predicted processor seconds of one graph: ``gifts`` (U2A), ``triangles`` and ``similar`` (A2A), ``product``,
    ``reach`` without the lists around authors, ``nodes``, each metapath's lists by name, and ``content``, which is made
    of the whole graph alone.

    Args:
        gifts: of the graph.
        passes: of GraphCL.
        content_width: of the features that say who is near by content.
    """
    people = Population(gifts.n_users, gifts.n_authors, len(gifts.users), EXPONENT)
    chosen = settings.swing_max_users, settings.top_k, settings.swing_top_k, passes
    stages = {stage.name: stage for stage in plan(people, *chosen, content_width=content_width)}

    def seconds(stage: str, *operations: str) -> float:
        of = stages[stage].operations
        return 1e-9 * sum(COSTS[name] * of.get(name, 0.0) for name in operations)

    found = {name: stage.seconds for name, stage in stages.items() if name != "swing"}
    found["product"] = seconds("u2a2u2a", "store")
    found["u2a2u2a"] -= found["product"]
    found["gifts"] = seconds("swing", "edge")
    found["triangles"] = seconds("swing", "visit", "update")
    found["similar"] = seconds("swing", "gather", "entry")
    joined = min(settings.reach_inner, gifts.n_authors) * settings.reach_inner  # multiply-adds of a user
    found["reach"] = found["u2a2u2a"] + 1e-9 * COSTS["light"] * joined * min(gifts.n_users, len(gifts.users))
    lists = [found[name] for name in stages if name not in ("swing", "nodes", "content")]
    return found | {name: sum(lists) / len(lists) for name in settings.metapaths if name not in found}


def of_build(inputs: Inputs, spent: Mapping[str, Spent], n_parts: int) -> TimeLeft:
    """Of the stages that `build_snapshot` tells, in its order.

    Args:
        spent: what stages have cost where parts were made; these are measured, and take no time now.
        n_parts: processes side by side that it was spent by.
    """
    settings, nodes = inputs.settings, inputs.nodes
    passes = 0 if nodes is None else nodes.settings.get("epochs", 1)
    assert isinstance(passes, int)
    width = sum(one.values.shape[1] for one in inputs.near.values())
    found: list[float] = []
    trained = [0.0]
    for fold in graphs_of(settings):
        works = works_of(inputs.seen(fold), settings, passes, width)
        found += [works["gifts"], works["triangles"] + works["similar"]]
        if fold is None and settings.steps_by_content:
            found.append(works["content"])
        if settings.reach_top_k:
            found.append(works["reach"] + works["a2u2a"])
        for name in in_turn([*settings.metapaths, *(inputs.positives if fold is None else ())]):
            means = [one for one in inputs.columns.values() if name.endswith(one.end)]
            found += [works[name], *([0.0] * len(means) if name in settings.metapaths else [])]
        found.append(0.0)  # packed lists
        if nodes is not None and fold is None:
            trained = [*[0.0] * len(found), works["nodes"]]
            found.append(works["nodes"])
    if not spent:
        return TimeLeft(len(found), "stages", works=found)
    before = sum(each.seconds for each in spent.values()) / n_parts
    made = sum(found) - sum(trained)
    trained += [0.0] * (len(found) - len(trained))
    return TimeLeft(len(found) + 1, "stages", 1, [made, *trained], before)
