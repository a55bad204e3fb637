class _Writer:
    """Writes a snapshot's files into one folder and takes down their hashes and what each stage cost."""

    def __init__(self, folder: Path, progress: Callable[[str], None] | None) -> None:
        self.folder = folder
        self.progress = progress
        self.files: dict[str, dict[str, object]] = {}
        self.stages: list[dict[str, object]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if self.progress is not None:
            self.progress(name)
        start = time.perf_counter()
        yield
        seconds = round(time.perf_counter() - start, 3)
        self.stages.append({"stage": name, "seconds": seconds, "peak_megabytes_so_far": peak_memory()})

    def array(self, name: str, array: np.ndarray) -> None:
        self.files[name] = asdict(write_npy(self._place(name), array))
        del self.files[name]["path"]

    def arrays(self, name: str, **arrays: np.ndarray) -> None:
        self.files[name] = asdict(write_npz(self._place(name), arrays))
        del self.files[name]["path"]

    def finish(
        self, key: str, interactions: Interactions, settings: GraphSettings, nodes: NodeStage | None
    ) -> None:
        manifest = {
            "schema": SCHEMA,
            "key": key,
            "settings": asdict(settings),
            "nodes": dict(nodes.settings) if nodes is not None else None,
            "counts": {
                "users": interactions.n_users,
                "authors": interactions.n_authors,
                "interactions": len(interactions.users),
            },
            "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "stages": self.stages,
            "files": self.files,
        }
        with open(self.folder / "manifest.json", "w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
            file.flush()
            os.fsync(file.fileno())

    def _place(self, name: str) -> Path:
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


def _publish(writing: Path, folder: Path) -> None:
    """Renames the finished folder, unless a sound one was published meanwhile; a damaged one makes way."""
    writing.chmod(0o755)
    try:
        os.replace(writing, folder)
    except OSError:
        if not folder.exists():
            raise
        try:
            Snapshot.open(folder).check()
            return
        except InputError:
            pass
        discarded = Path(tempfile.mkdtemp(prefix=".old-", dir=folder.parent))
        os.replace(folder, discarded / "snapshot")
        os.replace(writing, folder)
        shutil.rmtree(discarded, ignore_errors=True)


