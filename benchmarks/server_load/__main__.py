"""A real ``mlflow server --app-name mother`` under many clients: killed again and again, and timed.

Run::

    python -m benchmarks.server_load crash --backend postgresql --versions 500 --clients 8
    python -m benchmarks.server_load crash --backend sqlite --workers 2
    python -m benchmarks.server_load overhead

*crash*: vanilla clients register models of a few families, artifacts through the server; the worker is killed several
times with SIGKILL, and once the whole server. Exits with 1 when a version is lost, waits, or has not exactly one
current result, written back. *overhead*: how long a registration takes with Mother and without, in alternating runs;
exits with 1 when the bootstrap interval of the ratio of the 95th percentiles lies above 1.1. Both print one JSON
object. PostgreSQL is Debian's (`apt-get install postgresql`), a server of its own for the run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.server_load import crash, overhead
from benchmarks.server_load.surroundings import Config, databases


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("crash", "overhead"))
    parser.add_argument("--backend", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--workers", type=int, help="server processes (default: 4, with SQLite 2)")
    parser.add_argument("--clients", type=int, default=8, help="processes that register (default: %(default)s)")
    parser.add_argument("--versions", type=int, help="with each server (default: 500, for overhead 480)")
    parser.add_argument("--pairs", type=int, default=10, help="blocks with and without Mother (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="existing folder to leave logs and databases in")
    chosen = parser.parse_args()
    workers = chosen.workers or (4 if chosen.backend == "postgresql" else 2)
    config = Config(workers=workers, database=chosen.backend)
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep or Path(temporary)
        with databases(chosen.backend, folder) as made:
            if chosen.what == "crash":
                result = crash.measure(
                    folder, made, config=config, versions=chosen.versions or 500, clients=chosen.clients
                )
            else:
                result = overhead.measure(
                    folder,
                    made,
                    config=config,
                    versions=chosen.versions or 480,
                    clients=chosen.clients,
                    pairs=chosen.pairs,
                )
    print(json.dumps(result, indent=1))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
