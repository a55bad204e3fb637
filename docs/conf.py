"""Sphinx's settings for the documentation site: `make docs` writes it to docs/_build/html, without the internet."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

import mmbee_plugin

sys.path.insert(0, str(Path(__file__).parent))  # for mathml

project = "mmbee-plugin"
author = "the mmbee-plugin authors"
copyright = f"{author}, Apache 2.0"
version = release = mmbee_plugin.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.apidoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "mathml",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = [
    "_build",
    "api/modules/modules.rst",
    "api/modules/mmbee_plugin.rst",
]  # docs/api/index.md instead
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
default_role = "py:obj"
suppress_warnings = [
    "ref.python"
]  # a name in single backticks that several objects have links to one of them
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
napoleon_custom_sections = ["Shapes"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
apidoc_modules = [
    {
        "path": "../mmbee_plugin",
        "destination": "api/modules",
        "separate_modules": True,
        "automodule_options": {"members", "show-inheritance", "ignore-module-all"},
    }
]
toc_object_entries_show_parents = "hide"
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = "mmbee-plugin"
html_favicon = "_static/favicon.svg"
html_show_sourcelink = html_copy_source = False
html_use_index = html_domain_indices = False  # the search finds names
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False, "show_prev_next": False}

API_TITLE = re.compile(r"mmbee\\_plugin\.(\S+) (?:module|package)\n=+")


def setup(app: Sphinx) -> None:
    app.connect("source-read", title_without_package)


def title_without_package(app: Sphinx, page: str, source: list[str]) -> None:
    """Titles of the API's pages, and so the entries beside them, are names within the package: ``modules.gtr``."""
    if page.startswith("api/modules/"):
        source[0] = API_TITLE.sub(lambda found: f"{found[1]}\n{'=' * len(found[1])}", source[0], count=1)
