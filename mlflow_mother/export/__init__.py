"""Trees as pictures and documents.

One way from the record to the page, each step a module:

* :mod:`~mlflow_mother.export.text` cleans and words everything that people read;
* :mod:`~mlflow_mother.export.structure` finds families, generations and the spine parent of every node;
* :mod:`~mlflow_mother.export.layout` gives boxes and lines their places (a JSON-serialisable record, which the
  Lineage tab draws as well);
* :mod:`~mlflow_mother.export.svg` colours them, and :mod:`~mlflow_mother.export.html` and
  :mod:`~mlflow_mother.export.audit` put pages around the picture;
* ``terminal``, ``mermaid``, ``dot``, ``graphml`` and ``node_link`` write other formats;
* :mod:`~mlflow_mother.export.exporters` knows all of them, and those of plugins, by name.

Everything here is a pure function of a :class:`~mlflow_mother.types.ModelTree`.
"""

from mlflow_mother.export.audit import AuditRow, audit_html
from mlflow_mother.export.exporters import exporters
from mlflow_mother.export.html import to_html
from mlflow_mother.export.layout import Layout, layout
from mlflow_mother.export.mermaid import to_mermaid
from mlflow_mother.export.svg import to_svg
from mlflow_mother.export.terminal import edges_table, to_text

__all__ = [
    "AuditRow",
    "Layout",
    "audit_html",
    "edges_table",
    "exporters",
    "layout",
    "to_html",
    "to_mermaid",
    "to_svg",
    "to_text",
]
