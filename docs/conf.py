"""Sphinx configuration."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "notebooks"))

project = "splitopt"
author = "the splitopt developers"
copyright = "the splitopt developers"
release = version = installed_version("splitopt")

extensions = [
    "myst_parser",
    "notebook_pages",
    "sphinx.ext.autodoc",
    "sphinx-mathjax-offline",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_use_ivar = True
nitpicky = False
exclude_patterns = ["_build"]
default_role = "code"

html_theme = "furo"
html_title = "splitopt"
html_extra_path = ["schema"]
