def build(
    interactions: Interactions,
    settings: GraphSettings,
    root: str | Path,
    *,
    attributes: Mapping[str, Attributes] | None = None,
    nodes: NodeStage | None = None,
    progress: Callable[[str], None] | None = None,
) -> Snapshot:
    """The snapshot of these inputs and settings under ``root``, opened if it is there and sound, else built.

    It is written to a temporary folder beside and renamed, so that no reader ever sees half of one. A damaged
    snapshot under the same key is replaced.

    Args:
        interactions: training interactions; nothing else is read.
        settings: the stage's settings.
        root: folder of the snapshots, made if need be; the snapshot is ``root/<key>``.
        attributes: dense author features by modality name.
        nodes: how to train the node tables; ``None`` stores none.
        progress: told each stage's name as it starts.

    Raises:
        InputError: inputs that do not fit, or a folder that cannot be written, such as on a full disk.
    """
    features = dict(attributes or {})
    for name, modality in features.items():
        if modality.values.ndim != 2 or len(modality.values) != interactions.n_authors:
            raise InputError(
                f"attributes {name}: shape {modality.values.shape}, expected {interactions.n_authors} rows"
            )
        if modality.present.shape != (interactions.n_authors,):
            raise InputError(
                f"attributes {name}: present has shape {modality.present.shape}, expected a flag a row"
            )
    if settings.folds and settings.fold_by == "order" and interactions.later is None:
        raise InputError("fold_by: order needs to know how many later interactions each user has")
    key = _key(interactions, settings, features, nodes)
    folder = Path(root) / key
    if folder.exists():
        try:
            snapshot = Snapshot.open(folder)
            snapshot.check()
            return snapshot
        except InputError:
            if progress is not None:
                progress("the stored snapshot is damaged, building it again")
    writing: Path | None = None
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        writing = Path(tempfile.mkdtemp(prefix=f".{key[:8]}-", dir=root))
        writer = _Writer(writing, progress)
        _write_stages(writer, interactions, settings, features, nodes)
        writer.finish(key, interactions, settings, nodes)
        _publish(writing, folder)
    except OSError as error:
        raise InputError(
            f"{root}: cannot write a graph snapshot ({error.strerror or error}), "
            "expected a folder with room for it"
        ) from error
    finally:
        if writing is not None:
            shutil.rmtree(writing, ignore_errors=True)
    return Snapshot.open(folder)


def _write_stages(
    writer: _Writer,
    interactions: Interactions,
    settings: GraphSettings,
    attributes: Mapping[str, Attributes],
    nodes: NodeStage | None,
) -> None:
    users, authors = np.asarray(interactions.users), np.asarray(interactions.authors)
    amounts = None if interactions.amounts is None else np.asarray(interactions.amounts)
    folds: list[int | None] = [None, *range(settings.folds)]
    for fold in folds:
        within, prefix = "" if fold is None else f" without fold {fold}", _folder(fold)
        seen = _seen_by(fold, interactions, settings)
        with writer.stage(f"u2a{within}"):
            graph = donation_graph(
                users[seen],
                authors[seen],
                None if amounts is None else amounts[seen],
                interactions.n_users,
                interactions.n_authors,
            )
            u2a = weigh(graph, settings.amount)
            if fold is None:
                writer.arrays("u2a.npz", **_csr(u2a))
        with writer.stage(f"a2a{within}"):
            a2a = swing(
                u2a,
                alpha=settings.swing_alpha,
                include_self=settings.swing_include_self,
                top_k=settings.swing_top_k,
                max_users=settings.swing_max_users,
                user_beta=settings.swing_user_beta,
                user_gamma=settings.swing_user_gamma,
            )
            if fold is None:
                writer.arrays("a2a.npz", **_csr(a2a))
        if settings.reach_top_k:
            with writer.stage(f"reach{within}"):
                found = reach(u2a, settings.reach_top_k)
                writer.arrays(f"{prefix}reach.npz", indptr=found.indptr, ids=found.ids, weights=found.weights)
        train = nodes is not None and fold is None
        positives: dict[str, Neighbours] = {}
        for name in dict.fromkeys([*settings.metapaths, *(POSITIVES if train else ())]):
            with writer.stage(f"{name}{within}"):
                found = expand(
                    Metapath.parse(name),
                    u2a,
                    a2a,
                    top_k=settings.top_k,
                    normalisation=settings.normalisation,
                    exclude_own=settings.exclude_own,
                )
                if name in settings.metapaths:
                    writer.arrays(
                        f"{prefix}neighbours/{name}.npz",
                        indptr=found.indptr,
                        ids=found.ids,
                        weights=found.weights,
                    )
                if name in POSITIVES:
                    positives[name] = found
            for modality, feature in attributes.items():
                if name in settings.metapaths and name.endswith("a"):
                    with writer.stage(f"{modality} along {name}{within}"):
                        mean = mean_attributes(found, feature)
                        writer.array(f"{prefix}attributes/{modality}.{name}.npy", mean.values)
                        writer.array(f"{prefix}attributes/{modality}.{name}.fraction.npy", mean.fraction)
        if nodes is not None and fold is None:
            with writer.stage("nodes"):
                tables = nodes.train(u2a, *(positives[name] for name in POSITIVES))
                for kind, table in zip(("user", "author"), tables, strict=True):
                    writer.array(f"nodes_{kind}.npy", np.asarray(table, dtype=np.float32))


def _key(
    interactions: Interactions,
    settings: GraphSettings,
    attributes: Mapping[str, Attributes],
    nodes: NodeStage | None,
) -> str:
    described = {
        "schema": SCHEMA,
        "settings": asdict(settings),
        "nodes": dict(nodes.settings) if nodes is not None else None,
        "counts": [interactions.n_users, interactions.n_authors],
    }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    arrays = {"users": interactions.users, "authors": interactions.authors, "amounts": interactions.amounts}
    if settings.folds and settings.fold_by == "order":
        arrays["later"] = interactions.later
    for name, modality in sorted(attributes.items()):
        arrays |= {f"{name} values": modality.values, f"{name} present": modality.present}
    for name, array in arrays.items():
        if array is None:
            continue
        array = np.asarray(array)
        if name in ("users", "authors"):
            array = array.astype(np.int64)
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        for start in range(0, len(array), 65_536):
            digest.update(np.ascontiguousarray(array[start : start + 65_536]).data)
    return digest.hexdigest()[:32]


def _csr(graph: csr_matrix) -> dict[str, np.ndarray]:
    return {
        "indptr": graph.indptr.astype(np.int64),
        "indices": graph.indices.astype(np.int32),
        "data": graph.data,
    }


