"""The folder of a snapshot that is made in parts: inputs, plans, blocks and what was joined of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import discard, locked
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.parts.cutting import cut
from mmbee_plugin.graph.parts.mapped import JOINED, PLAN, MappedGraph
from mmbee_plugin.graph.parts.states import State, write_state
from mmbee_plugin.graph.parts.steps import Made, Step, folds_of, steps_of
from mmbee_plugin.graph.settings import OPTIONAL, GraphSettings
from mmbee_plugin.graph.stages import Spent, Stages

SCHEMA = "mmbee-graph-parts-1"
GIVEN = "given"


class Parts:
    """The parts of one snapshot. Every method but :meth:`create` may be called by several processes at once.

    Args:
        path: the folder.
        given: the state of the inputs.

    Attributes:
        n_parts: blocks of a step.
        folds: the graphs, by the fold that each lacks; None for the whole one.
        steps: names of all steps, in an order in which they can be made.
        last: those that no other step reads: what the snapshot has of them is joined by the merge.
    """

    def __init__(self, path: Path, given: State) -> None:
        self.path, self.given = path, given
        self.n_parts: int = given.facts["parts"]
        settings = GraphSettings(**given.facts["settings"])
        self._steps = {step.name: step for step in steps_of(settings, tuple(given.facts["positives"]))}
        self.steps = tuple(self._steps)
        self.folds = folds_of(settings)
        read = {name for step in self.steps for name in self.needs(step)}
        self.last = tuple(name for name in self.steps if name not in read)

    @classmethod
    def create(cls, inputs: Inputs, root: Path, n_parts: int) -> Parts:
        """Opens the folder ``root/<key>.parts-<N>``; writes it with the inputs if it is not there.

        Raises:
            InputError: as ``Inputs.key``, a refresh, or a folder that cannot be written.
        """
        if inputs.refresh is not None:
            raise InputError("graph.refresh_from: a refresh is made by one process, not in parts")
        path = root / f"{inputs.key}.parts-{n_parts}"
        if not (path / GIVEN).exists():
            names = ("users", "authors", *OPTIONAL)
            columns = {name: getattr(inputs.interactions, name) for name in names}
            arrays = {name: np.asarray(column) for name, column in columns.items() if column is not None}
            facts = {
                "schema": SCHEMA,
                "key": inputs.key,
                "parts": n_parts,
                "settings": inputs.settings.model_dump(mode="json"),
                "counts": [inputs.interactions.n_users, inputs.interactions.n_authors],
                "positives": inputs.positives,
            }
            with _written(path):
                write_state(path / GIVEN, arrays, facts)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Parts:
        """Raises InputError for a folder that is none, or one of another version."""
        given = State.open(path / GIVEN)
        if given.facts.get("schema") != SCHEMA:
            found = given.facts.get("schema")
            raise InputError(f"{path}: schema {found!r}, expected {SCHEMA!r}; delete the folder")
        return cls(path, given)

    def needs(self, step: str) -> list[str]:
        """The steps that a step reads."""
        one = self.step(step)
        return [one.name.removesuffix(one.kind) + kind for kind in one.needs]

    def step(self, name: str) -> Step:
        """Raises InputError for a name that no step has."""
        if name not in self._steps:
            raise InputError(f"{self.path}: no step {name!r}; steps are {', '.join(self.steps)}")
        return self._steps[name]

    def graph(self, step: str) -> MappedGraph:
        """The graph that a step is of."""
        return self.graph_without(self.step(step).fold)

    def graph_without(self, fold: int | None) -> MappedGraph:
        """The graph without a fold; the whole one for ``None``."""
        return MappedGraph(self.path, self.given, fold)

    def read_by(self, step: str) -> tuple[Path, ...]:
        """The folders that a step's blocks map, besides the inputs: its plan, and what the steps it needs made."""
        folders = [self.path / step / PLAN]
        for name in self.needs(step):
            folders += [self.path / name / state for state in (PLAN, JOINED)]
        return tuple(folder for folder in folders if folder.exists())

    def prepare(self, step: str, progress: Callable[[str], None] | None = None) -> None:
        """Joins what a step reads, and plans its blocks, unless this is done.

        Raises:
            InputError: blocks of a step that it reads are not made, or the folder cannot be written.
        """
        for name in self.needs(step):
            self.join(name)
        with self._locked(f"{step}/{PLAN}"):
            if self.is_prepared(step):
                return
            stages = Stages(progress)
            planned = self.step(step).plan(self.graph(step), stages)
            arrays = dict(planned.arrays) | {"edges": cut(planned.seconds, self.n_parts)}
            facts = {**planned.facts, "stages": stages.records}
            with _written(self.path):
                write_state(self.path / step / PLAN, arrays, facts)

    def missing(self, step: str) -> list[int]:
        """Blocks of a prepared step that are not made, from 0."""
        if self.is_joined(step):
            return []
        edges = State.open(self.path / step / PLAN).array("edges")
        return [
            block
            for block, (start, stop) in enumerate(pairwise(edges))
            if stop > start and not _is_there(self._block(step, block))
        ]

    def is_prepared(self, step: str) -> bool:
        return _is_there(self.path / step / PLAN)

    def keep(self, step: str, block: int, made: tuple[Made, Stages]) -> None:
        """Writes a block's arrays, unless they are there. Raises InputError if they cannot be written."""
        arrays, stages = made
        with _written(self.path):
            write_state(self._block(step, block), arrays, {"stages": stages.records})

    def is_joined(self, step: str) -> bool:
        return _is_there(self.path / step / JOINED)

    def join(self, step: str) -> None:
        """Puts a step's blocks one after the other, unless this is done or it has none.

        Raises:
            InputError: blocks that are not made or damaged; damaged ones are removed.
        """
        with self._locked(f"{step}/{JOINED}"):
            if self.is_joined(step):
                return
            if missing := self.missing(step):
                numbers = ", ".join(str(block + 1) for block in missing)
                raise InputError(f"{self.path}: {step} lacks part {numbers} of {self.n_parts}")
            edges = State.open(self.path / step / PLAN).array("edges")
            blocks = [
                self._sound(step, block)
                for block, (start, stop) in enumerate(pairwise(edges))
                if stop > start
            ]
            if not blocks:
                return
            arrays: dict[str, list[np.ndarray]] = {
                name: [block.array(name) for block in blocks] for name in blocks[0].facts["files"]
            }
            if "lengths" in arrays:
                lengths = arrays.pop("lengths")
                arrays["indptr"] = [np.concatenate([[0], np.cumsum(np.concatenate(lengths))])]
            records = [record for block in blocks for record in block.facts["stages"]]
            with _written(self.path):
                write_state(self.path / step / JOINED, arrays, {"stages": records})
            for block in blocks:
                discard(block.path)

    def spent(self) -> dict[str, Spent]:
        """What the stages of a snapshot have cost in all processes."""
        found: defaultdict[str, Spent] = defaultdict(Spent)
        for place in self.path.glob("**/facts.json"):
            for record in State.open(place.parent).facts.get("stages", ()):
                name, seconds, peak = record["stage"], record["seconds"], record["peak_megabytes_so_far"]
                before = found[name]
                found[name] = Spent(before.seconds + seconds, max(before.megabytes, peak))
        return found

    def lock_of_block(self, step: str, block: int) -> Path:
        """The file that is locked by who makes a block."""
        return self._lock(f"{step}/block-{block}")

    def discard(self) -> None:
        """Removes the folder."""
        discard(self.path)

    def _block(self, step: str, block: int) -> Path:
        return self.path / step / f"block-{block}"

    def _sound(self, step: str, block: int) -> State:
        try:
            state = State.open(self._block(step, block))
            state.check()
        except InputError as error:
            discard(self._block(step, block))
            raise InputError(f"{error}: block {block + 1} of {step} is damaged and was removed") from None
        return state

    def _lock(self, name: str) -> Path:
        return self.path / "locks" / name.replace("/", ".")

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with locked(self._lock(name)):
            yield


def make_block(
    path: Path, step: str, block: int, progress: Callable[[str], None] | None = None
) -> tuple[Made, Stages]:
    """Makes one block of a prepared step; reads the folder of parts, and writes nothing.

    Args:
        path: the folder.
        step: its name.
        block: from 0.
        progress: called with the name of each stage as it starts.

    Returns:
        the block's arrays, all one-dimensional, and the time and memory of its stages: what `Parts.keep` takes.
    """
    parts = Parts.open(path)
    one, graph, stages = parts.step(step), parts.graph(step), Stages(progress)
    if not 0 <= block < parts.n_parts:
        raise InputError(f"block {block} is out of range, expected 0..{parts.n_parts - 1}")
    start, stop = graph.plan(one.kind, "edges")[block : block + 2]
    return one.block(graph, int(start), int(stop), stages), stages


def _is_there(path: Path) -> bool:
    """Whether a state is there; removes one whose files are not those that were written."""
    if not path.exists():
        return False
    try:
        State.open(path)
    except InputError:
        discard(path)
        return False
    return True


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({one_line(error)}); what is finished is kept, the same command goes on"
        ) from error
