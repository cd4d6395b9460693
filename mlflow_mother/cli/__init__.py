"""The command ``mlflow-mother``: one module a command, loaded when it is called.

``main`` holds the group and turns errors into exit codes (``exit_codes``), ``output`` prints, ``options`` are those
that several commands share. Commands contain no reasoning of their own: they call :mod:`mlflow_mother.api`.
"""

from mlflow_mother.cli.main import main

__all__ = ["main"]
