"""Settings of the documentation; `make docs` builds it, offline."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import metahpo

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

project = "metahpo"
author = "The metahpo developers"
copyright = author
release = version = metahpo.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "examples"]
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
    "within_subsection_order": "FileNameSortKey",
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

#: Packages whose objects docstrings refer to.
OTHERS = ("sklearn.", "pandas.", "numpy.", "ConfigSpace.", "torch.", "joblib.")

html_theme = "pydata_sphinx_theme"
html_title = "metahpo"
html_static_path = ["_static"]
html_css_files = ["metahpo.css"]
html_show_sourcelink = False
toc_object_entries_show_parents = "hide"  # the list of methods is narrow
html_theme_options = {
    "logo": {"text": "metahpo"},
    "navbar_align": "left",
    "show_toc_level": 2,
    "header_links_before_dropdown": 5,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
#: Pages that no other pages belong to have no list of neighbours beside them.
ALONE = (
    "index",
    "getting_started",
    "how_it_works",
    "measurements",
    "earlier_measurements",
    "faq",
    "datasheet",
    "changelog",
    "contributing",
)
html_sidebars: dict[str, list[str]] = {page: [] for page in ALONE}


def show_as_name(
    app: Sphinx, env: Any, node: Any, content: nodes.Element
) -> nodes.Element | None:
    """Show a reference to what exists, but has no page here, as its name; others are dead, and are reported.

    Objects of other packages have no page here: the build needs no network.
    """
    target = str(node.get("reftarget", "")).removeprefix("~")
    if node.get("refdomain") != "py":
        return None
    if target.startswith(OTHERS):
        return content
    module, within = node.get("py:module"), node.get("py:class")
    near = [f"{module}.{target}", f"{module}.{within}.{target}", f"{within}.{target}"]
    if any(exists(name) for name in (target, *near) if name.startswith("metahpo.")):
        return content
    # The first line of a docstring also stands in tables of other pages, where its module is not known.
    documented = env.get_domain("py").objects
    homes = {name.rpartition(".")[0] for name in documented}
    return content if any(exists(f"{home}.{target}") for home in homes) else None


@cache
def exists(name: str) -> bool:
    """Whether a dotted name is a module of the package, or an attribute of one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            declared = {
                **getattr(found, "__dataclass_fields__", {}),
                **getattr(found, "__annotations__", {}),
            }
            if not hasattr(found, part) and part not in declared:
                return False
            found = getattr(found, part, None)
        return True
    return False


def setup(app: Sphinx) -> None:
    """Connect what resolves references that have no page."""
    app.connect("missing-reference", show_as_name)
