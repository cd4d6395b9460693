"""Sphinx configuration; the documentation builds offline."""

from __future__ import annotations

from mlflow_mother import __version__

project = "mlflow-mother"
author = "The mlflow-mother authors"
copyright = f"2026, {author}"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = False

autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
# pydantic's own attributes are the same on every record.
autodoc_default_options = {"exclude-members": "model_config,model_fields,model_computed_fields"}

html_theme = "furo"
html_title = f"mlflow-mother {__version__}"
