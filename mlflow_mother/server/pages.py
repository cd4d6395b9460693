"""The script in MLflow's own page, the ``/mother/`` page, and the static files behind both.

Files under ``/static-files`` are served without sign-in: they hold code and no data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask, Response, redirect, request, send_from_directory
from werkzeug.wrappers import Response as AnyResponse

STATIC = Path(__file__).parent / "static"
ASSETS = "static-files/mother"
SCRIPT = f'<link rel="stylesheet" href="{ASSETS}/tab.css"><script type="module" src="{ASSETS}/tab.js"></script>'
"""What MLflow's page gets: the bar of tabs; what is inside the tab is loaded when it is opened.

Relative, as MLflow's own are: a static prefix or a proxy's path stays in front."""


def register(app: Flask) -> None:
    """Adds the pages.

    Args:
        app: MLflow's Flask application; its ``index.html`` gets one script and one style sheet more.
    """
    from mlflow.server.handlers import _add_static_prefix

    original = app.view_functions["serve"]

    def serve() -> Any:
        index = Path(app.static_folder or "", "index.html")
        if not index.is_file():
            return original()
        page = index.read_text("utf-8").replace("</head>", f"{SCRIPT}</head>", 1)
        response = Response(page, mimetype="text/html")
        response.headers["Cache-Control"] = "no-cache"
        return response

    app.view_functions["serve"] = serve

    @app.get(_add_static_prefix(f"/{ASSETS}/<path:name>"))
    def mother_asset(name: str) -> Response:
        response = send_from_directory(STATIC, name, max_age=0)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.get(_add_static_prefix("/mother/"))
    def mother_page() -> Response:
        return send_from_directory(STATIC, "mother.html", max_age=0)

    @app.get(_add_static_prefix("/mother"))
    def mother_page_without_slash() -> AnyResponse:
        return redirect(f"{request.path.rsplit('/', 1)[-1]}/")
