"""The folder of a snapshot that is made in parts: inputs, plans, blocks and what was joined of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import discard, locked
from mmbee_plugin.graph.content import ContentVectors
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.parts.cutting import cut
from mmbee_plugin.graph.parts.mapped import JOINED, PLAN, PRESENT, UNITS, MappedGraph, step_name
from mmbee_plugin.graph.parts.order import steps_of
from mmbee_plugin.graph.parts.states import State, sweep, write_state
from mmbee_plugin.graph.parts.steps import BlockArrays, Step
from mmbee_plugin.graph.settings import OPTIONAL, GraphSettings
from mmbee_plugin.graph.snapshot import graphs_of
from mmbee_plugin.graph.stages import PEAK, Spent, Stages

SCHEMA = "mmbee-graph-parts-2"
GIVEN = "given"


class Parts:
    """The parts of one snapshot. Every method but :meth:`create` may be called by several processes at once.

    Args:
        path: the folder.
        given: the state of the inputs.

    Attributes:
        n_parts: blocks of a step.
        graphs: by the fold that each lacks, see `graphs_of`.
        steps: names of all steps, in an order in which they can be made.
        last: those that no other step reads: what the snapshot has of them is joined by the merge.
    """

    def __init__(self, path: Path, given: State) -> None:
        self.path, self.given = path, given
        self.n_parts: int = given.facts["parts"]
        settings = GraphSettings(**given.facts["settings"])
        self._steps = {step.name: step for step in steps_of(settings, tuple(given.facts["positives"]))}
        self.steps = tuple(self._steps)
        self.graphs = graphs_of(settings)
        self._graphs: dict[int | None, MappedGraph] = {}
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
            if inputs.near:
                vectors = ContentVectors.of(inputs.near)
                arrays |= {UNITS: vectors.units, PRESENT: vectors.present}
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
        return [step_name(one.fold, kind) for kind in one.needs]

    def step(self, name: str) -> Step:
        """Raises InputError for a name that no step has."""
        if name not in self._steps:
            raise InputError(f"{self.path}: no step {name!r}; steps are {', '.join(self.steps)}")
        return self._steps[name]

    def graph(self, fold: int | None) -> MappedGraph:
        """The graph without a fold; the whole one for ``None``."""
        if fold not in self._graphs:
            self._graphs[fold] = MappedGraph(self.path, self.given, fold)
        return self._graphs[fold]

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
            sweep(self.path / step / PLAN)
            stages = Stages(progress)
            one = self.step(step)
            planned = one.plan(self.graph(one.fold), stages)
            arrays = dict(planned.arrays) | {"edges": cut(planned.seconds, self.n_parts)}
            facts = {**planned.facts, "stages": stages.records}
            with _written(self.path):
                write_state(self.path / step / PLAN, arrays, facts)

    def missing(self, step: str) -> list[int]:
        """Blocks of a prepared step that are not made, from 0."""
        if self.is_joined(step):
            return []
        return [block for block in self._blocks(step) if not self._block(step, block).exists()]

    def is_prepared(self, step: str) -> bool:
        return self._is_there(step, PLAN)

    def make(
        self, step: str, block: int, progress: Callable[[str], None] | None = None
    ) -> tuple[BlockArrays, Stages]:
        """Makes a block; see :func:`make_block`."""
        one, stages = self.step(step), Stages(progress)
        if not 0 <= block < self.n_parts:
            raise InputError(f"block {block} is out of range, expected 0..{self.n_parts - 1}")
        graph = self.graph(one.fold)
        start, stop = graph.plan(one.kind, "edges")[block : block + 2]
        return one.block(graph, int(start), int(stop), stages), stages

    def keep(self, step: str, block: int, made: tuple[BlockArrays, Stages]) -> None:
        """Writes a block's arrays, unless they are there. Raises InputError if they cannot be written."""
        arrays, stages = made
        with _written(self.path):
            write_state(self._block(step, block), arrays, {"stages": stages.records})

    def is_joined(self, step: str) -> bool:
        return self._is_there(step, JOINED)

    def join(self, step: str) -> None:
        """Puts a step's blocks one after the other, unless this is done or it has none.

        Raises:
            InputError: blocks that are not made, or a folder that cannot be written.
        """
        with self._locked(f"{step}/{JOINED}"):
            if self.is_joined(step):
                return
            if missing := self.missing(step):
                numbers = ", ".join(str(block + 1) for block in missing)
                raise InputError(f"{self.path}: {step} lacks part {numbers} of {self.n_parts}")
            blocks = [self._opened(step, block) for block in self._blocks(step)]
            if not blocks:
                return
            arrays: dict[str, list[np.ndarray]] = {
                name: [block.array(name) for block in blocks] for name in blocks[0].facts["files"]
            }
            if "lengths" in arrays:
                lengths = arrays.pop("lengths")
                arrays["indptr"] = [np.concatenate([[0], np.cumsum(np.concatenate(lengths))])]
            records = [record for block in blocks for record in block.facts["stages"]]
            sweep(self.path / step / JOINED)
            with _written(self.path):
                write_state(self.path / step / JOINED, arrays, {"stages": records})
            for block in blocks:
                discard(block.path)

    def spent(self) -> dict[str, Spent]:
        """What the stages of a snapshot have cost in all processes."""
        found: defaultdict[str, Spent] = defaultdict(Spent)
        for step in self._steps.values():
            for state in (PLAN, JOINED):
                if not (self.path / step.name / state).exists():
                    continue
                for record in self.graph(step.fold).state(step.kind, state).facts["stages"]:
                    name, seconds, peak = (record[key] for key in ("stage", "seconds", PEAK))
                    before = found[name]
                    found[name] = Spent(before.seconds + seconds, max(before.megabytes, peak))
        return found

    def lock_of_block(self, step: str, block: int) -> Path:
        """The file that is locked by who makes a block."""
        return self._lock(f"{step}/block-{block}")

    def sweep(self, step: str, block: int) -> None:
        """Removes what killed writers of a block, whose lock is held, have left."""
        sweep(self._block(step, block))

    def _is_there(self, step: str, state: str) -> bool:
        """Whether a state is there; removes one whose files are not those that were written."""
        one = self.step(step)
        if not (self.path / step / state).exists():
            return False
        try:
            self.graph(one.fold).state(one.kind, state)
        except InputError:
            discard(self.path / step / state)
            return False
        return True

    def _blocks(self, step: str) -> list[int]:
        """The blocks that have rows."""
        one = self.step(step)
        edges = self.graph(one.fold).plan(one.kind, "edges")
        return [block for block, (start, stop) in enumerate(pairwise(edges)) if stop > start]

    def _opened(self, step: str, block: int) -> State:
        try:
            return State.open(self._block(step, block))
        except InputError as error:
            discard(self._block(step, block))
            raise InputError(f"{error}; it was removed, the same command makes it again") from None

    def _block(self, step: str, block: int) -> Path:
        return self.path / step / f"block-{block}"

    def _lock(self, name: str) -> Path:
        return self.path / "locks" / name.replace("/", ".")

    def _locked(self, name: str) -> AbstractContextManager[int]:
        return locked(self._lock(name))


def make_block(
    path: Path, step: str, block: int, progress: Callable[[str], None] | None = None
) -> tuple[BlockArrays, Stages]:
    """Makes one block of a prepared step; reads the folder of parts, and writes nothing.

    Args:
        path: the folder.
        step: its name.
        block: from 0.
        progress: called with the name of each stage as it starts.

    Returns:
        the block's arrays, all one-dimensional, and the time and memory of its stages: what `Parts.keep` takes.
    """
    return Parts.open(path).make(step, block, progress)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({one_line(error)}); what is finished is kept, the same command goes on"
        ) from error
