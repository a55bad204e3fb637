"""Figure 5: agreement of the authors' learned queries with their planted types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from mmbee_plugin.command.extras import check_extra
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.colours import SERIES
from mmbee_plugin.experiments.plots import Plot
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.experiments.verdict import listed
from mmbee_plugin.recbole.data.training_rows import training_rows
from mmbee_plugin.recbole.run import LABELLED_RUN, load_mmbee, seeded_dataset
from mmbee_plugin.recbole.training.logs import without_recbole_warnings

MIN_ROWS = 20
"""least training rows of an author; with fewer, its vectors are close to their initial values"""
NEIGHBOURS = 10
SHUFFLES = 200
QUERIES, IDS = "queries", "id embeddings"


@dataclass(frozen=True)
class AuthorVectors:
    """Authors with enough training rows, their planted types and learned vectors.

    Shapes:
        - tokens, types: (n,) strings and integers
        - vectors: name -> (n, width) float32; an author's queries are flattened to num_queries x d
    """

    folder: DatasetFolder
    tokens: np.ndarray
    types: np.ndarray
    vectors: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Match:
    """Agreement of vectors with types.

    Attributes:
        nmi: normalised mutual information of the types and as many k-means clusters of unit-length vectors.
        share: mean over authors of the share of their 10 nearest others by cosine that have their type.
    """

    nmi: float
    share: float


@study("figure 5", "figure-5")
def queries(checkpoint: Path) -> Answer:
    """Whether the learned queries tell the type of an author: t-SNE, clusters, neighbours; id embeddings beside.

    The checkpoint is of MMBee on simulated live data.
    """
    authors = read_authors(checkpoint)
    return Answer(*query_figure(authors), authors.folder, f"Checkpoint: {checkpoint.name}")


def read_authors(path: Path, min_rows: int = MIN_ROWS) -> AuthorVectors:
    """Queries and id embeddings from a RecBole checkpoint of MMBee, with the planted types of the authors.

    Raises:
        InputError: scikit-learn is not installed; as `load_mmbee`; a model without queries; a dataset that has changed
            or has no planted types.
    """
    check_extra("sklearn", "figure 5")
    state = load_mmbee(path)
    config, weights = state["config"], state["state_dict"]
    if "content.queries.weight" not in weights:
        raise InputError(
            f"{path}: a model without queries, expected content: mfq with use_queries, as {LABELLED_RUN} makes"
        )
    planted = Path(config["data_path"]) / "planted" / "authors.parquet"
    if not planted.is_file():
        raise InputError(
            f"{planted}: no such file; only simulated live data have planted author types: a checkpoint of "
            f"{LABELLED_RUN} is needed"
        )
    with without_recbole_warnings():
        train = seeded_dataset(config).build()[0]
    if train.folder.hash != config["dataset_hash"]:
        raise InputError(f"{path}: {train.folder.path} has changed since that run")
    authors = pl.read_parquet(planted, columns=["author_id", "type"])
    type_of = dict(zip(authors["author_id"].to_list(), authors["type"].to_list(), strict=True))
    tokens = np.asarray(train.field2id_token[train.iid_field], dtype=str)
    items = train.inter_feat[train.iid_field].numpy()[training_rows(train).kept]
    counts = np.bincount(items, minlength=train.item_num)
    ids = np.flatnonzero((counts >= min_rows) & np.isin(tokens, list(type_of)))
    names = {QUERIES: "content.queries.weight", IDS: "author.weight"}
    vectors = {name: weights[key][ids].float().numpy() for name, key in names.items()}
    return AuthorVectors(
        train.folder, tokens[ids], np.array([type_of[token] for token in tokens[ids]]), vectors
    )


def match(vectors: np.ndarray, types: np.ndarray, seed: int = 0) -> tuple[Match, list[Match]]:
    """Agreement of vectors (n, width) with types (n,), and with each of :data:`SHUFFLES` shuffles of the types."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score

    unit = normalised(vectors)
    clusters = KMeans(len(np.unique(types)), n_init=10, random_state=seed).fit_predict(unit)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :NEIGHBOURS]

    def compare(given: np.ndarray) -> Match:
        share = (given[nearest] == given[:, None]).mean()
        return Match(float(normalized_mutual_info_score(given, clusters)), float(share))

    rng = np.random.default_rng(seed)
    return compare(types), [compare(rng.permutation(types)) for _ in range(SHUFFLES)]


def query_figure(authors: AuthorVectors, seed: int = 0) -> tuple[str, Sheet, Plot]:
    """The verdict, the table of matches against chance, and both t-SNE plots coloured by type.

    Raises:
        InputError: too few authors for :data:`NEIGHBOURS` neighbours.
    """
    if len(authors.types) <= 3 * NEIGHBOURS:
        raise InputError(
            f"{authors.folder.path}: {len(authors.types)} authors of a planted type have {MIN_ROWS} training rows "
            f"or more; more than {3 * NEIGHBOURS} are needed"
        )
    rows: list[tuple[str, ...]] = []
    told = []
    for name, vectors in authors.vectors.items():
        found, shuffled = match(vectors, authors.types, seed)
        chances = [float(np.quantile([one.nmi for one in shuffled], 0.95)), found.nmi]
        told.append(
            f"{name} {'tell' if chances[1] > chances[0] else 'do not tell'} an author's type beyond chance"
        )
        rows.append((name, f"{found.nmi:.3f}", f"{found.share:.3f}"))
        chance = [_chance([getattr(one, kind) for one in shuffled]) for kind in ("nmi", "share")]
        rows.append((f"{name}, types shuffled", *chance))
    sheet = Sheet(
        "Figure 5: learned queries by author type",
        ("vectors", "NMI of k-means", f"{NEIGHBOURS} nearest of its type"),
        tuple(rows),
        (
            f"{len(authors.types):,} authors with {MIN_ROWS} training rows or more, "
            f"{len(np.unique(authors.types))} types.",
            f"Shuffled: mean of {SHUFFLES}, in brackets their 95th percentile.",
        ),
    )
    plot = Plot(
        "Vectors by planted type",
        "t-SNE puts vectors that are alike near each other; patches of one colour are types that the vectors tell "
        "apart. Distances between patches mean nothing, and the table above decides.",
        _plots(authors, seed),
    )
    return f"{listed(told)}, by k-means clusters (NMI)", sheet, plot


def _chance(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({np.quantile(values, 0.95):.3f})"


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., width) scaled to length 1; zero vectors stay zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)


def _plots(authors: AuthorVectors, seed: int) -> go.Figure:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(authors.types) - 1) / 3)
    figure = make_subplots(1, len(authors.vectors), subplot_titles=list(authors.vectors))
    for column, vectors in enumerate(authors.vectors.values(), start=1):
        # Euclidean distance of unit vectors orders neighbours as the cosine in the table does.
        places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(normalised(vectors))
        for number, kind in enumerate(np.unique(authors.types)):
            of_kind = authors.types == kind
            points = go.Scatter(
                x=places[of_kind, 0],
                y=places[of_kind, 1],
                mode="markers",
                marker={"size": 5, "color": SERIES[number % len(SERIES)]},
                name=f"planted type {kind}",
                legendgroup=str(kind),
                showlegend=column == 1,
                text=authors.tokens[of_kind],
                hovertemplate="%{text}",
            )
            figure.add_trace(points, row=1, col=column)
    figure.update_xaxes(showticklabels=False, title_text="t-SNE, first axis")
    figure.update_yaxes(showticklabels=False, title_text="t-SNE, second axis")
    return figure.update_layout(height=520)
