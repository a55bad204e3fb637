"""The page at `/`: what is served, and a console. One HTML file with its style and script in it, which no user's data
are part of: the script asks the service's own routes, with the token that the reader gives."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

SCRIPTS = ("page.js", "status.js", "console.js")


@cache
def page() -> tuple[str, dict[str, str]]:
    """The HTML, and headers that let it run its own script and style, ask its own service, and nothing else."""
    folder = files(__name__)
    style = folder.joinpath("style.css").read_text(encoding="utf-8")
    script = "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in SCRIPTS)
    html = folder.joinpath("page.html").read_text(encoding="utf-8")
    policy = (
        "default-src 'none'; connect-src 'self'; img-src data:; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'; require-trusted-types-for 'script'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return html.replace("{style}", style).replace("{script}", script), headers


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
