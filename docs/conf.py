"""Sphinx's settings for the documentation site: `make docs` writes it to docs/_build/html, without the internet."""

from __future__ import annotations

import sys
from pathlib import Path

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
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = "mmbee-plugin"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False, "show_prev_next": False}
