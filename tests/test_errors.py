"""Errors are for people: what a file's name smuggles in does not reach their terminals."""

from __future__ import annotations

from mlflow_mother.errors import CorruptFileError


def test_messages_hold_no_control_characters_and_stay_encodable() -> None:
    error = CorruptFileError("evil\n\x1b[2J\x9b31m\u202e\ud800.pt of models:/größe/1 is empty.", "Copy it\tagain.")
    assert error.what == "evil \ufffd[2J\ufffd31m\ufffd\ufffd.pt of models:/größe/1 is empty."
    assert error.remedy == "Copy it again."
    assert str(error).isprintable()
    assert str(error).encode()
