"""Makes the demo's parts in a folder: simulated data, a model trained on them, its bundle, pages and model card.

Each part is written whole or not at all, and what stands is kept: the demo goes on after a kill, and opens at once the
next time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import mmbee_plugin
from mmbee_plugin.demo.folder import SAMPLES, SEED, SETTINGS, SIMULATION, Demo
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import locked, replaced, write_json
from mmbee_plugin.serving.bundle.shelf import Shelf

if TYPE_CHECKING:
    from mmbee_plugin.experiments.scoring import Trained


def make(demo: Demo, show: Callable[[str], None]) -> None:
    """Makes what is missing of a demo; of one that another version made, everything.

    Args:
        show: called with a line for each part as it starts.

    Raises:
        InputError: the folder holds something else, cannot be written, or is being made by another process.
    """
    made_by = {"mmbee-plugin": mmbee_plugin.__version__, "folder": str(demo.folder.absolute())}
    _check_ours(demo)
    demo.folder.mkdir(parents=True, exist_ok=True)
    with locked(demo.folder / ".lock", "another process makes this demo"):
        if demo.mark.exists() and json.loads(demo.mark.read_text(encoding="utf-8")) != made_by:
            show("made by another version, or moved: made again")
            for part in (demo.data.parent, demo.bundles, demo.pages):
                shutil.rmtree(part, ignore_errors=True)
            demo.checkpoint.unlink(missing_ok=True)
        write_json(demo.mark, made_by)
        if not demo.data.exists():
            show(
                f"simulating {SIMULATION.days} days of {SIMULATION.users} users, and cutting them into samples"
            )
            _simulate(demo)
        with ExitStack() as stack:
            trained: Trained | None = None
            if not demo.checkpoint.exists():
                show("training MMBee, after its graph stage")
                trained = stack.enter_context(_trained(demo))
            if Shelf(demo.bundles).current() is None:
                trained = trained or _opened(demo)
                show("building the bundle, its pages and its model card")
                _publish(demo, trained)
            if not (demo.pages / "index.html").exists():
                from mmbee_plugin.demo.pages import write_pages

                write_pages(demo, trained or _opened(demo))


def _check_ours(demo: Demo) -> None:
    """Raises InputError for a folder that no demo made."""
    if demo.folder.exists() and not demo.mark.exists() and any(demo.folder.iterdir()):
        raise InputError(f"{demo.folder}: holds something else; name an empty or new folder for the demo")


def _simulate(demo: Demo) -> None:
    from mmbee_plugin.livesim.dataset import write

    demo.data.parent.mkdir(exist_ok=True)
    write(demo.data, SIMULATION, SAMPLES)


@contextmanager
def _trained(demo: Demo) -> Iterator[Trained]:
    """Trains the model, writes its checkpoint, and yields it with the weights of the best epoch."""
    from mmbee_plugin.experiments.scoring import Trained
    from mmbee_plugin.experiments.training import EVALUATED, prepared
    from mmbee_plugin.recbole.training.progress import Progress

    progress = Progress()
    with progress.listening(), prepared("MMBee", demo.data.absolute(), SETTINGS, SEED) as training:
        training.trainer.progress = progress
        training.fit()
        with replaced(demo.checkpoint, "wb") as file:
            file.write(Path(training.trainer.saved_model_file).read_bytes())
        loaders = dict(zip(EVALUATED, training.evaluated, strict=True))
        parts = (training.config, training.network, training.train.dataset, loaders)
        yield Trained(demo.checkpoint, training.folder, *parts)


def _opened(demo: Demo) -> Trained:
    from mmbee_plugin.experiments.scoring import open_trained

    return open_trained(demo.checkpoint)


def _publish(demo: Demo, trained: Trained) -> None:
    from mmbee_plugin.recbole.bundle import RecBoleSource
    from mmbee_plugin.serving.bundle.build import build_bundle

    demo.bundles.mkdir(exist_ok=True)
    shelf = Shelf(demo.bundles)
    shelf.publish(build_bundle(RecBoleSource(trained.network, trained.train), shelf))
