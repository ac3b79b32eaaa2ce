"""How Sphinx builds the site: `make docs`.

The tutorials are MyST notebooks. They run while the site is built, in a temporary folder, and the site offers
each as an executed .ipynb. A failing cell, a link to a missing page and a broken docstring stop the build.
"""

from __future__ import annotations

import os
import sys
from functools import partialmethod
from importlib.metadata import version as installed_version
from pathlib import Path

from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
# The cells call `ridgebayes` and Python of this environment.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
# One thread a fit: the build shares the machine.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

project = "ridgebayes"
author = "the ridgebayes authors"
version = release = installed_version("ridgebayes")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
nitpicky = False  # types of other packages have no page here; links between pages are checked all the same

# --- pages ---
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

# --- tutorials ---
nb_execution_mode = os.environ.get("RIDGEBAYES_DOCS_EXECUTE", "cache")
nb_execution_cache_path = str(ROOT / "site" / ".cache")
nb_execution_in_temp = True
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_output_stderr = "remove"  # progress bars
# The output of a command comes in pieces: one output each.
NotebookClient.__init__ = partialmethod(NotebookClient.__init__, coalesce_streams=True)

# --- reference ---
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say what and in which unit
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_param = False  # one line for parameters that share a description
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # np.str_ would become a link
autosummary_generate = False
add_module_names = False

# --- look ---
html_theme = "furo"
html_title = "ridgebayes"
html_static_path = ["_static"]
html_css_files = ["ridgebayes.css"]
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
