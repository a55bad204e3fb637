"""`mmbee bundle …`: builds bundles from checkpoints and chooses the one that is served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbee_plugin.command.extras import check_extra
from mmbee_plugin.command.stages import stage_display

if TYPE_CHECKING:
    from mmbee_plugin.serving.bundle.shelf import Pointer, Shelf
    from mmbee_plugin.serving.bundle.source import Source

app = typer.Typer(
    help="Bundles, which mmbee serve reads: build, publish and take them back.", no_args_is_help=True
)

Bundles = Annotated[Path, typer.Argument(metavar="BUNDLES", help="The folder of bundles.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="A bundle in that folder.")]
StoreUrl = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="A Redis or Valkey that scorers read users from.")
]


@app.command("build")
def build(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="RecBole's <run>.pth, or a TorchRec job's, as for mmbee export."
        ),
    ],
    bundles: Bundles,
    shards: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where a TorchRec job's shards are now, if they have moved."),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The dataset folder of a TorchRec job's shards, for data with time."
        ),
    ] = None,
    topology: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The graph snapshot of the model's run: the bundle can walk it too."
        ),
    ] = None,
    on_air: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Of live data: how long an author can be scored after its newest segment; 20 segment lengths.",
        ),
    ] = None,
    then_publish: Annotated[bool, typer.Option("--publish", help="Publish it, once it is built.")] = False,
    store: StoreUrl = None,
) -> None:
    """Build a bundle: all that a score needs, in one folder that never changes."""
    check_extra("safetensors", "a bundle")
    from mmbee_plugin.graph.snapshot import Snapshot
    from mmbee_plugin.serving.bundle.build import build_bundle

    snapshot = None if topology is None else Snapshot.open(topology)
    with stage_display() as show:
        show("reading the checkpoint")
        made = build_bundle(_source(checkpoint, shards, dataset), _shelf(bundles), show, snapshot, on_air)
    typer.echo(f"Built: {bundles / made}")
    if then_publish:
        publish(bundles, made, store)


@app.command("list")
def list_(bundles: Bundles) -> None:
    """List the bundles, the newest last."""
    shelf = _shelf(bundles)
    pointer = shelf.current()
    for manifest in shelf.bundles():
        mark = "  "
        if pointer is not None and manifest["id"] == pointer.bundle:
            mark = "! " if pointer.pinned else "* "
        size = sum(entry["size"] for entry in manifest["files"].values()) / 1e6
        counts = ", ".join(f"{entry['count']:,} {side}" for side, entry in sorted(manifest["tokens"].items()))
        typer.echo(
            f"{mark}{manifest['id']}  {manifest['created']}  {size:,.1f} MB  {counts}  {manifest['data']['name']}"
        )
    typer.echo("* is served" if pointer is None or not pointer.pinned else "! is served and pinned")


@app.command("verify")
def verify(bundles: Bundles, bundle: Id) -> None:
    """Check every file of a bundle against its hash."""
    manifest = _shelf(bundles).verify(bundle)
    typer.echo(f"{bundles / bundle}: whole, {len(manifest['files'])} files; {manifest['data']['provenance']}")


@app.command("publish")
def publish(bundles: Bundles, bundle: Id, store: StoreUrl = None) -> None:
    """Let running services take a bundle: they follow within a second. With --store its users are written there first.

    So are the rows of its topology, if it has one.
    """
    shelf = _shelf(bundles)
    if store is not None:
        check_extra("redis", "--store")
        from mmbee_plugin.serving.store.bundles import fill_bundle

        fill_bundle(store, shelf, bundle, typer.echo)
    _tell(shelf.publish(bundle))


@app.command("rollback")
def rollback(
    bundles: Bundles,
    bundle: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Default: the one served before.")
    ] = None,
) -> None:
    """Serve the bundle that was served before, or an older one."""
    _tell(_shelf(bundles).rollback(bundle))


@app.command("pin")
def pin(
    bundles: Bundles,
    bundle: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Default: the one that is served.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="End the pin: others can be published again.")] = False,
) -> None:
    """Keep services at one bundle: no publication or rollback moves them, only another pin."""
    _tell(_shelf(bundles).pin(bundle, on=not off))


@app.command("prune")
def prune(
    bundles: Bundles,
    keep: Annotated[int, typer.Option(help="Newest bundles that stay.")] = 3,
    store: StoreUrl = None,
) -> None:
    """Remove old bundles; never the one that is served, the one before it, or one that a service has loaded."""
    for bundle in _shelf(bundles).prune(keep):
        if store is not None:
            check_extra("redis", "--store")
            from mmbee_plugin.serving.store.bundles import drop_bundle

            drop_bundle(store, bundle)
        typer.echo(f"Removed: {bundle}")


def _shelf(bundles: Path) -> Shelf:
    from mmbee_plugin.serving.bundle.shelf import Shelf

    return Shelf(bundles)


def _source(checkpoint: Path, shards: Path | None, dataset: Path | None) -> Source:
    if checkpoint.suffix == ".pth":
        from mmbee_plugin.recbole.bundle import open_source

        return open_source(checkpoint)
    from mmbee_plugin.torchrec.processes.versions import check_versions

    check_versions()
    from mmbee_plugin.torchrec.checkpoints.bundle import open_source as open_job

    return open_job(checkpoint, shards, dataset)


def _tell(pointer: Pointer) -> None:
    typer.echo(f"Served: {pointer.bundle}" + (", pinned" if pointer.pinned else ""))
