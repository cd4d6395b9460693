"""Answers that are files to keep rather than JSON to read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from flask import Response

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_CHARACTERS = 100


@dataclass(frozen=True)
class Document:
    """A file.

    Attributes:
        text: Its content.
        media_type: Its type, without parameters.
        filename: What browsers shall call it.
    """

    text: str
    media_type: str
    filename: str

    def response(self) -> Response:
        """The file as a download, which browsers neither show in the server's name nor run."""
        # Names may hold what UTF-8 cannot: they were read from files.
        response = Response(self.text.encode("utf-8", "replace"), content_type=f"{self.media_type}; charset=utf-8")
        response.headers["Content-Disposition"] = disposition(self.filename)
        response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def disposition(filename: str) -> str:
    """The header that names a download, whatever characters the name has."""
    plain = _UNSAFE.sub("_", filename).strip("._") or "download"
    if plain == filename:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename.encode('utf-8', 'replace'), safe='')}"


def filename(stem: str, suffix: str) -> str:
    """A file name after something that people named: nothing in it means a folder, and it is not too long."""
    cleaned = "".join("_" if c in '/\\:*?"<>|' or not c.isprintable() else c for c in stem)
    return f"{cleaned[:_MOST_CHARACTERS].strip(' .') or 'lineage'}{suffix}"
