"""The sandbox in a process of its own, and what it says of the requests that it got."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

__all__ = ["Asked", "Served"]

HANDBOOK = Path(__file__).resolve().parents[2] / "examples/handbook"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Parameters:
        question: what it asked.
        began, ended: Unix seconds.
        is_answered: whether the whole answer was sent.
    """

    question: str
    began: float
    ended: float
    is_answered: bool


class Served:
    """A sandbox, to be used in a ``with``.

    Parameters:
        first_token: seconds that an answer takes, from 0.
    """

    def __init__(self, first_token: float) -> None:
        self.env: dict[str, str] = {}
        self._pace = str(first_token)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "qaip_sandbox", "serve", str(HANDBOOK), "--watch", "0"]
        command += ["--journal", "1000000", "--first-token", self._pace, "--no-cache"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                self.env[name] = value.strip("'\"")
            if "Ctrl-C" in line:
                break
        self._url = self.env["PERPLEXITY_BASE_URL"].removesuffix("/perplexity")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def count(self) -> int:
        """Return how many requests there were since `forget`."""
        return int(self._call("GET", "")["requests"]) - self._before

    def asked(self) -> list[Asked]:
        """Return the requests since `forget`, oldest first."""
        found = self._call("GET", f"/requests?after={self._before}&limit=10000000")
        return [
            Asked(
                record["question"],
                record["at"],
                record["at"] + (record["ms"] or 0.0) / 1000,
                record["status"] == 200
                and record["state"] == "complete"
                and record["fault"] in ("", "stall"),
            )
            for record in found
        ]

    _before = 0

    def forget(self, faults: Sequence[str] = ()) -> None:
        """Begin anew.

        Parameters:
            faults: those that wait from now on, as the command line has them.
        """
        until = time.monotonic() + 10
        while any(r["state"] == "open" for r in self._call("GET", "/requests?limit=500")):
            assert time.monotonic() < until, "requests stay open"
            time.sleep(0.1)
        self._call("DELETE", "/requests")
        found: Any = self._call("GET", "")
        self._before = int(found["requests"])
        self.inject(faults)

    def inject(self, faults: Iterable[str]) -> None:
        """Put other faults in the place of those that wait."""
        self._call("DELETE", "/faults")
        for fault in faults:
            self._call("POST", "/faults", fault)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        request = Request(f"{self._url}/_sandbox{path}", data, headers, method=method)
        with urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None
