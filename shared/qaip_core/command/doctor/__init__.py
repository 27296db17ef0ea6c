"""`qaip doctor`: what is checked, one after the other, and what to do about it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import asdict
from functools import partial
from itertools import chain
from threading import Thread

from qaip_core.command.doctor.check import Check
from qaip_core.command.doctor.installation import check_installation
from qaip_core.command.doctor.network import check_network
from qaip_core.command.doctor.reaching import check_service
from qaip_core.command.services import SERVICES
from qaip_core.command.terminal import print_json, table

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Check everything, and print it.

    Parameters:
        options: what the command line says.

    Returns:
        The exit code: 1 if a check has failed.
    """
    found = list(_checks(options.service, offline=options.offline))
    failed = any(check.state == "fail" for check in found)
    if options.json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in found]})
    else:
        table(("", "what", "found"), chain.from_iterable(map(_rows, found)))
        print(_summary(found))
    return int(failed)


def _checks(service: str | None, *, offline: bool) -> Iterator[Check]:
    yield from check_installation()
    yield from check_network()
    chosen = [SERVICES[service]] if service else list(SERVICES.values())
    look = partial(check_service, wanted=service is not None, offline=offline)
    begun = [_begin(partial(look, one)) for one in chosen]  # one that is slow delays no other
    for checks in begun:
        yield from checks.result()
    if not service and not any(s.is_set_up for s in chosen):
        yield Check(
            "services",
            "warn",
            "none is set up",
            "Set the key of one, or ask your own documents without: "
            'qaip ask --docs FOLDER "your question"',
        )


def _begin(look: Callable[[], list[Check]]) -> Future[list[Check]]:
    """Look from a thread that Ctrl-C does not wait for, as it would for those of an executor."""
    found: Future[list[Check]] = Future()

    def run() -> None:
        try:
            found.set_result(look())
        except BaseException as error:  # noqa: BLE001 -- it is raised where the result is read
            found.set_exception(error)

    Thread(target=run, daemon=True).start()
    return found


def _rows(check: Check) -> Iterator[tuple[str, str, str]]:
    yield check.state, check.what, check.found
    if check.advice:
        yield "", "", f"-> {check.advice}"


def _summary(found: Iterable[Check]) -> str:
    states = [check.state for check in found]
    failed, warned = states.count("fail"), states.count("warn")
    if failed:
        return f"\n{failed} of {len(states)} checks failed."
    return "\nNothing failed." + (f" {warned} could be better." if warned else "")
