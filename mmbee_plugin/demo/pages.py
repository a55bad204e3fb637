"""The demo's HTML pages: an explanation, a diagnosis, a room, the metrics, and an index that leads to all."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from mmbee_plugin.demo.card import PURPOSE, card, metrics_sheet
from mmbee_plugin.demo.folder import Demo
from mmbee_plugin.experiments.page import HEAD, page_style, write_page
from mmbee_plugin.experiments.sheet import BEST
from mmbee_plugin.experiments.study import Answer
from mmbee_plugin.experiments.verdict import framed
from mmbee_plugin.figures.room import read_timeline
from mmbee_plugin.figures.timeline import room_figure
from mmbee_plugin.files import replaced
from mmbee_plugin.recbole.training.report import provenance_lines
from mmbee_plugin.studies.diagnose import diagnose, diagnosis_figure
from mmbee_plugin.studies.explain import explain, explanation_figure, find_moment

if TYPE_CHECKING:
    from mmbee_plugin.experiments.scoring import Trained

INDEX = """{head}<title>MMBee: a demo</title><style>{style}
dl {{ max-width: 46rem }} dt {{ margin-top: 1.1rem; font-weight: 600 }} dd {{ margin: 0 }} code {{ font-size: .87rem;
overflow-wrap: anywhere }}
</style></head><body>
<h1>MMBee: a small model to look at</h1>
<aside class="strip"><p>{told}</p><p class="loud">{loud}</p></aside>
<p>On the test day its GAUC is {gauc}; the chances that the gifts were drawn with have {best}. <a href="card.html">Its
metrics</a>, with what it must not be used for.</p>
<dl>{entries}</dl>
</body></html>
"""


def write_pages(demo: Demo, trained: Trained) -> None:
    """Writes all pages, the index last, and the model card in Markdown. Raises OSError."""
    demo.pages.mkdir(exist_ok=True)
    notes = f"Checkpoint: {demo.checkpoint.name}"
    user, author = best_gift(trained)
    found = explanation_figure(trained, explain(trained, find_moment(trained, user, author)))
    Answer(*found, trained.folder, notes).write(demo.pages / "explain.html")
    Answer(*diagnosis_figure(diagnose(trained)), trained.folder, notes).write(demo.pages / "diagnose.html")
    line = read_timeline(trained.network, trained.train)
    Answer(*room_figure(line), trained.folder, notes).write(demo.pages / "room.html")
    told = provenance_lines(trained.folder)
    metrics = metrics_sheet(trained)
    with replaced(demo.card) as file:
        file.write(card(trained))
    sheet = replace(
        metrics, notes=(f"In brackets 95 % intervals over users; {BEST}: the simulator's chances.", PURPOSE)
    )
    gauc, best = metrics.rows[2][-1], metrics.rows[3][-1]
    verdict = framed(
        f"GAUC is {gauc} on the test day, where the best possible is {best}", "simulated", seeds=1
    )
    write_page(demo.pages / "card.html", sheet.title, verdict, [sheet], [], told, False)
    entries = [
        ("/", "The console", "what is served, the best authors on the air for a user, and what carried a score",
         f"mmbee serve {demo.bundles}"),
        ("explain.html", f"Why {author} for {user}", "what one score loses without each behaviour, metapath or segment",
         f"mmbee explain {demo.checkpoint} --user {user} --author {author}"),
        ("diagnose.html", "Diagnosis", "whether queries, modalities and neighbours do their work",
         f"mmbee diagnose {demo.checkpoint}"),
        ("room.html", f"One live room, {line.room}", "what the queries read by segment, with the gifts on it",
         f"mmbee figure room {demo.checkpoint}"),
        ("card.html", "Metrics", f"with intervals over users; the whole card is {demo.card}", "mmbee demo --no-serve"),
    ]  # fmt: skip
    shown = "".join(
        f'<dt><a href="{at}">{escape(name)}</a></dt><dd>{escape(what)}<br><code>{escape(command)}</code></dd>'
        for at, name, what, command in entries
    )
    with replaced(demo.pages / "index.html") as file:
        file.write(INDEX.format(head=HEAD, style=page_style(), loud=escape(told[1]), told=escape(told[0]),
                                gauc=gauc, best=best, entries=shown))  # fmt: skip


def best_gift(trained: Trained) -> tuple[str, str]:
    """User and author of the test row with a gift that the model scores highest."""
    rows, live = trained.folder.interactions("test"), trained.folder.rows("test")
    gifts = np.flatnonzero(live.labels)
    row = gifts[np.argmax(trained.scores("test")[gifts])]
    return trained.folder.user_tokens[rows.users[row]], trained.folder.item_tokens[rows.items[row]]
