"""Carries messages to the endpoint from one thread, in order, within bounds of time and memory."""

from __future__ import annotations

import atexit
import http.client
import logging
import os
import queue
import threading
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import IO

from mlflow_mother_notify.settings import NotifySettings
from mlflow_mother_notify.signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

log = logging.getLogger(__name__)

ATTEMPTS = 4
"""Times that one message is tried."""

FIRST_PAUSE = 0.25
"""Seconds before the second attempt; each further pause is twice as long."""

LONGEST_QUEUE = 1000
"""Messages that wait at most."""


class _StayPut(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: a signed message is for the endpoint that was configured."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:  # fmt: skip
        """Turns the redirect into an error."""
        return


@dataclass(frozen=True)
class _Message:
    body: bytes
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Delivery:
    """A bounded queue and the thread that empties it; both start with the first message.

    Args:
        settings: Endpoint, secret and timeout.
        longest_queue: Messages that wait at most.
    """

    def __init__(self, settings: NotifySettings, *, longest_queue: int = LONGEST_QUEUE) -> None:
        self._settings = settings
        self._opener = urllib.request.build_opener(_StayPut)
        self._longest_queue = longest_queue
        self._thread: threading.Thread | None = None
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self.finish)

    def post(self, body: bytes) -> bool:
        """Hands a message to the thread and returns at once.

        Returns:
            Whether there was room for it.
        """
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mother-notify", daemon=True)
                self._thread.start()
        try:
            self._queue.put_nowait(_Message(body))
        except queue.Full:
            log.warning("Mother's notification is dropped: %d messages wait already.", self._longest_queue)
            return False
        return True

    def finish(self) -> bool:
        """Waits for the messages under way, at most for the configured timeout.

        Returns:
            Whether all of them were dealt with.
        """
        deadline = time.monotonic() + self._settings.timeout
        with self._queue.all_tasks_done:
            while self._queue.unfinished_tasks:
                left = deadline - time.monotonic()
                if left <= 0:
                    log.warning("Mother gives up %d notifications at exit.", self._queue.unfinished_tasks)
                    return False
                self._queue.all_tasks_done.wait(left)
        return True

    def _reset(self) -> None:
        """A forked child has no thread, and its parent sends what was queued before."""
        self._lock = threading.Lock()
        self._thread = None
        self._queue: queue.Queue[_Message] = queue.Queue(self._longest_queue)

    def _run(self) -> None:
        while True:
            message = self._queue.get()
            try:
                self._send(message)
            except Exception:
                log.warning("Mother's notification %s could not be sent.", message.id, exc_info=True)
            finally:
                self._queue.task_done()

    def _send(self, message: _Message) -> None:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
            outcome, passing = self._attempt(message)
            if not outcome:
                return
            if not passing:
                break
        log.warning("Mother's notification %s is dropped: %s.", message.id, outcome)

    def _attempt(self, message: _Message) -> tuple[str, bool]:
        """Posts once.

        Returns:
            What went wrong, empty when nothing did, and whether a further attempt may help.
        """
        timestamp = str(int(time.time()))
        headers = {"Content-Type": "application/json", ID_HEADER: message.id, TIMESTAMP_HEADER: timestamp}
        if self._settings.secret is not None:
            secret = self._settings.secret.get_secret_value()
            headers[SIGNATURE_HEADER] = sign(secret, message.id, timestamp, message.body)
        # The settings allow http and https only.
        request = urllib.request.Request(str(self._settings.url), message.body, headers)  # noqa: S310
        try:
            self._opener.open(request, timeout=self._settings.timeout).close()
        except urllib.error.HTTPError as error:
            error.close()
            return f"the endpoint answered {error.code}", error.code == 429 or error.code >= 500
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}", True
        return "", False
