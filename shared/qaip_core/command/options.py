"""The command line of `qaip`.

It imports nothing that an answer needs: `--help` and a mistyped option are told at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["SERVICE_NAMES", "parser"]

SERVICE_NAMES = ("qaip", "perplexity", "dify", "pais", "fireworks")
"""The services, in the order in which the first that is set up is asked."""

_ABOUT = "Answers with their sources, from five services or from a folder of your own documents."
_EXAMPLES = """\
examples:
  qaip ask --docs handbook "When was the first light lit?"     offline, without a key
  qaip ask --service perplexity --model perplexity/sonar "What is a lighthouse?"
  qaip models --service fireworks
  qaip doctor
  qaip explain MissingKeyError
"""


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line; each command's function is in ``run``."""
    root = argparse.ArgumentParser(
        prog="qaip",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action=_Version, nargs=0, help="print the version")
    root.set_defaults(run=_help(root))
    commands = root.add_subparsers(metavar="command")
    for name, (add, about) in _COMMANDS.items():
        command = commands.add_parser(name, help=about, description=f"{about.capitalize()}.")
        add(command)
        command.set_defaults(run=_later(name))
    return root


def _help(root: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Return what happens without a command."""

    def run(_options: argparse.Namespace) -> int:
        root.print_help(sys.stderr)
        return 2

    return run


def _later(name: str) -> Callable[[argparse.Namespace], int]:
    """Return the function of a command, whose module is imported when it is called."""

    def run(options: argparse.Namespace) -> int:
        return int(import_module(f"qaip_core.command.{name}").run(options))

    return run


class _Version(argparse.Action):
    """Prints the version, which is looked up only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from qaip_core.version import version

        print(parser.prog, version())
        parser.exit()


def _add_service(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--service", choices=SERVICE_NAMES, metavar="NAME",
        help=f"{what}: {', '.join(SERVICE_NAMES)}")  # fmt: skip


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON, for other programs")


def _add_ask(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("question", nargs="+", help="the question; - reads it from standard input")
    _add_service(command, "who is asked (default: the first that is set up; of --docs, qaip)")
    add("--docs", type=Path, metavar="FOLDER",
        help="ask these documents, offline, by the service's protocol")  # fmt: skip
    add("--model", metavar="NAME", help="the model, where the service leaves the choice")
    add("--agent", metavar="ID", help="an agent of pais, whose answers have sources")
    add("--max-tokens", type=int, metavar="N", help="the longest answer, where the service asks")
    _add_json(command)


def _add_models(command: argparse.ArgumentParser) -> None:
    _add_service(command, "whose models (default: those of all that are set up)")
    _add_json(command)


def _add_doctor(command: argparse.ArgumentParser) -> None:
    _add_service(command, "look at one only")
    command.add_argument("--offline", action="store_true", help="send nothing")
    _add_json(command)


def _add_explain(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", nargs="?", help="the error's class (default: list them)")


_COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "ask": (_add_ask, "ask one question, and show the answer with its sources"),
    "models": (_add_models, "list the models that a service offers"),
    "doctor": (_add_doctor, "check versions, keys, addresses and the network, and say what to do"),
    "explain": (_add_explain, "explain an error: what it means, and what to do"),
}
