"""Settings of the documentation; `make docs` builds it, offline."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the same figures, and the same time, on every machine

from docutils import nodes  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from sphinx_gallery.sorting import FileNameSortKey  # noqa: E402

import metahpo  # noqa: E402

project = "metahpo"
author = "The metahpo developers"
copyright = author  # noqa: A001 - the name that Sphinx reads
release = version = metahpo.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples/*", "examples/**"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
default_role = "literal"
nitpicky = True

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings tell types, shapes and units
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

sphinx_gallery_conf = {
    "examples_dirs": ["examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"plot_",
    "within_subsection_order": FileNameSortKey,
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 0,
    "plot_gallery": "True",
    "matplotlib_animations": False,
    "reset_modules": ("matplotlib",),
    "thumbnail_size": (400, 280),
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "metahpo"
html_static_path = ["_static"]
html_css_files = ["metahpo.css"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "metahpo"},
    "navbar_align": "left",
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "getting_started": [], "faq": [], "changelog": []}


def refer_to_undocumented(app: Sphinx, env: Any, node: Any, content: nodes.Element) -> nodes.Element | None:
    """Show a reference to an object that exists, but has no page, as its name; others stay dead, and are reported."""
    target = str(node.get("reftarget", "")).removeprefix("~")
    if node.get("refdomain") != "py" or not target.startswith("metahpo"):
        return None
    return content if _exists(target) else None


def leave_out_other_packages(app: Sphinx, env: Any, node: Any, content: nodes.Element) -> nodes.Element | None:
    """Show references to the objects of other packages as their names: the build needs no network."""
    target = str(node.get("reftarget", ""))
    others = ("sklearn.", "pandas.", "numpy.", "ConfigSpace.", "torch.", "joblib.")
    return content if node.get("refdomain") == "py" and target.startswith(others) else None


def _exists(name: str) -> bool:
    """Whether a dotted name is a module of the package, or an attribute of one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            fields = getattr(found, "__dataclass_fields__", {})
            if not hasattr(found, part) and part not in fields:
                return False
            found = getattr(found, part, None)
        return True
    return False


def setup(app: Sphinx) -> None:
    """Connect what resolves references that have no page."""
    app.connect("missing-reference", refer_to_undocumented)
    app.connect("missing-reference", leave_out_other_packages)
