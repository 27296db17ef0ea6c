"""The command `qaip-sandbox`."""

import argparse
import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .extras import missing

__all__ = ["main"]

_CACHES = "QAIP_SANDBOX_CACHE"
_TOKEN = "QAIP_SANDBOX_TOKEN"  # noqa: S105 - the name of a variable


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a folder, ask it, or index it.

    Args:
        arguments: The command line without the program's name; None for that of the process.

    Returns:
        The exit code: 0 when all went well (for `serve`: after Ctrl-C), 1 when `ask` found no
        answer, 2 when the folder, the port, the model or another argument cannot be used, 130
        after Ctrl-C elsewhere.
    """
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        return 0 if run is _serve else 130
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, RuntimeError, ValueError, ModuleNotFoundError) as error:
        print(f"qaip-sandbox: {_reason(error)}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qaip-sandbox",
        description="Five answering services, offline, over a folder of your own documents.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, (add, run, about) in _COMMANDS.items():
        command = commands.add_parser(name, help=about, description=f"{about.capitalize()}.")
        add(command)
        command.set_defaults(run=run)
    return parser


class _Version(argparse.Action):
    """Prints the version, which is looked up only then: a copy of the source has none."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        try:
            parser.exit(message=f"{parser.prog} {version('qaip-integrations')}\n")
        except PackageNotFoundError:
            parser.exit(message=f"{parser.prog} (not installed)\n")


def _add_folder(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", type=Path, help="the folder with the documents")
    command.add_argument(
        "--no-cache", action="store_true", help="read every file anew, and keep nothing"
    )
    command.add_argument(
        "--max-bytes", type=_positive, default=10 * 1024 * 1024, metavar="N",
        help="the size of the largest file that is read (default: 10 MiB)",
    )  # fmt: skip


def _add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--generate-with", metavar="URL",
        help="an OpenAI-compatible server that words the answers: http://localhost:11434/v1",
    )  # fmt: skip
    command.add_argument("--model", metavar="NAME", help="the model there")
    command.add_argument(
        "--generate-key", metavar="VARIABLE", help="the environment variable with its key"
    )


def _add_serve(command: argparse.ArgumentParser) -> None:
    _add_folder(command)
    add = command.add_argument
    add("--port", type=int, default=0, help="the port (default: any free one)")
    add("--host", default="127.0.0.1", help="the address (default: %(default)s)")
    add("--token", default=os.environ.get(_TOKEN) or None,
        help=f"what callers must know (or ${_TOKEN}); needed if others can reach it")  # fmt: skip
    add("--allow-host", action="append", default=[], metavar="NAME",
        help="a further name that requests may call the sandbox by")  # fmt: skip
    add("--watch", type=float, default=2.0, metavar="SECONDS",
        help="how often to look for changed documents, 0 for never (default: 2)")  # fmt: skip
    add("--first-token", type=float, default=0.0, metavar="SECONDS",
        help="the time before the first token (default: 0)")  # fmt: skip
    add("--tokens-per-second", type=float, metavar="N", help="the rate after it (default: at once)")
    add("--jitter", type=float, default=0.0, metavar="SHARE",
        help="how much each wait may differ, 0 to 1 (default: 0)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N",
        help="what the jitter and the faults of some chance are drawn from")  # fmt: skip
    add("--fault", action="append", default=[], metavar="FAULT", dest="faults",
        help="a fault that waits, such as 'status; code=429; chance=0.05; times=null'")  # fmt: skip
    add("--journal", type=_positive, default=10_000, metavar="N",
        help="how many of the last requests are kept (default: %(default)s)")  # fmt: skip
    add("--set", action="append", default=[], metavar="SERVICE.SWITCH=VALUE", dest="switches",
        help="how a service behaves, such as perplexity.profile=seed")  # fmt: skip
    _add_model(command)


def _add_ask(command: argparse.ArgumentParser) -> None:
    _add_folder(command)
    command.add_argument("question", nargs="+", help="the question")
    command.add_argument("--limit", type=_positive, default=5, help="the most sources (default: 5)")
    command.add_argument("--json", action="store_true", help="print one JSON object")
    _add_model(command)


def _add_switches(command: argparse.ArgumentParser) -> None:
    command.add_argument("service", nargs="?", help="one service (default: all of them)")
    command.add_argument("--markdown", action="store_true", help="print the page of the docs")


def _serve(options: argparse.Namespace) -> int:
    from . import terminal
    from .faults import fault_of
    from .sandbox import Sandbox

    with terminal.progress() as progress:
        sandbox = Sandbox(
            options.folder,
            host=options.host,
            port=options.port,
            token=options.token,
            allowed_hosts=options.allow_host,
            cache=_cache(options),
            max_bytes=options.max_bytes,
            watch=options.watch or None,
            progress=progress,
            first_token=options.first_token,
            tokens_per_second=options.tokens_per_second,
            jitter=options.jitter,
            seed=options.seed,
            journal=options.journal,
            writer=_writer(options),
            **_switches(options.switches),
        )
        sandbox.faults.add(*map(fault_of, options.faults))
        sandbox.start()
    try:
        terminal.refusals(sandbox.refused)
        terminal.announce(sandbox)
        threading.Event().wait()
    finally:
        sandbox.stop()
    return 0


def _ask(options: argparse.Namespace) -> int:
    from . import terminal
    from .answers import answer
    from .collection import Collection

    question = " ".join(options.question)
    writer = _writer(options)
    cache = _cache(options)
    with Collection(options.folder, cache=cache, max_bytes=options.max_bytes) as collection:
        with terminal.progress() as progress:
            collection.refresh(progress)
        terminal.unread(collection.refused, options.folder)
        found = answer(collection.index, question, limit=options.limit)
        if writer and found.hits:
            found = asyncio.run(writer.write(collection.index, question, found))
        if options.json:
            print(json.dumps(terminal.as_json(question, found), indent=2, ensure_ascii=False))
        else:
            terminal.answer(found)
    return 0 if found.hits else 1


def _index(options: argparse.Namespace) -> int:
    from . import terminal
    from .collection import Collection

    cache = _cache(options)
    with Collection(options.folder, cache=cache, max_bytes=options.max_bytes) as collection:
        with terminal.progress() as progress:
            changes = collection.refresh(progress)
        terminal.summary(collection, changes, cache)
    return 0


def _list_switches(options: argparse.Namespace) -> int:
    from . import terminal
    from .protocols import SERVICES

    if options.markdown:
        from .reference import reference

        print(reference(), end="")
        return 0
    chosen = [s for s in SERVICES if options.service in (None, s.name)]
    if not chosen:
        raise ValueError(f"no service {options.service!r}: {', '.join(s.name for s in SERVICES)}")
    for service in chosen:
        terminal.switches(service.name, service.switches)
    return 0


_COMMANDS: dict[
    str,
    tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int], str],
] = {
    "serve": (_add_serve, _serve, "serve a folder over the protocols of all five services"),
    "ask": (_add_ask, _ask, "answer one question from a folder, with sources"),
    "index": (
        _add_folder,
        _index,
        "read a folder and keep its index, so that the rest starts fast",
    ),
    "switches": (_add_switches, _list_switches, "list how each service can be made to behave"),
}


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _cache(options: argparse.Namespace) -> Path | None:
    """Return the file that keeps the index of a folder, beside those of all others."""
    if options.no_cache:
        return None
    from hashlib import sha256

    from platformdirs import user_cache_path

    folder = Path(os.environ.get(_CACHES) or user_cache_path("qaip-sandbox"))
    name = sha256(str(options.folder.resolve()).encode()).hexdigest()[:16]
    return folder / f"{name}.sqlite"


def _writer(options: argparse.Namespace) -> Any:
    if (options.generate_with is None) != (options.model is None):
        raise ValueError("--generate-with URL and --model NAME go together")
    if options.generate_with is None:
        return None
    from .writer import Writer

    key = os.environ.get(options.generate_key or "")
    if options.generate_key and not key:
        raise ValueError(f"the environment has no {options.generate_key}")
    return Writer(options.generate_with, options.model, api_key=key)


def _switches(settings: Iterable[str]) -> dict[str, Any]:
    """Return the switches by service, from lines such as `dify.profile=1.16`."""
    from .protocols import SERVICES

    services = [service.name for service in SERVICES]
    found: dict[str, Any] = {}
    for setting in settings:
        name, given, value = setting.partition("=")
        service, dot, switch = name.partition(".")
        if not (given and dot and service in services):
            raise ValueError(
                f"--set {setting}: write SERVICE.SWITCH=VALUE, with one of {', '.join(services)}"
            )
        found.setdefault(service, {})[switch] = _value(value)
    return found


def _value(text: str) -> Any:
    """Return what `text` is as JSON; a number stays text, for profiles are named by numbers."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, int | float) and not isinstance(value, bool) else value


def _reason(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return missing(error.name)
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(part for part in (error.strerror, error.filename) if part)
    return str(error)
