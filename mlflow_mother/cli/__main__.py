"""``python -m mlflow_mother.cli``: the command where its script is not on the path."""

from mlflow_mother.cli.main import main

if __name__ == "__main__":
    main(prog_name="mlflow-mother")
