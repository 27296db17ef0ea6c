"""The command `qaip-sandbox`."""

import argparse
import ipaddress
import shlex
import sys
import threading
from collections.abc import Sequence

from .sandbox import Sandbox

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a folder until Ctrl-C.

    Args:
        arguments: The command line without the program's name; None for that of the process.

    Returns:
        The exit code: 0 after Ctrl-C, 2 when the folder or the port cannot be used.
    """
    options = _parser().parse_args(arguments)
    try:
        sandbox = Sandbox(
            options.folder,
            host=options.host,
            port=options.port,
            token=options.token,
            tokens_per_second=options.tokens_per_second,
        )
        with sandbox:
            _announce(sandbox, options.host)
            threading.Event().wait()
    except KeyboardInterrupt:
        return 0
    except (OSError, RuntimeError, ValueError) as error:
        print(f"qaip-sandbox: {_reason(error)}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qaip-sandbox", description="Five answering services over a folder of documents."
    )
    commands = parser.add_subparsers(required=True, metavar="serve")
    serve = commands.add_parser("serve", help="serve the text and Markdown files of a folder")
    serve.add_argument("folder", help="the folder with the documents")
    serve.add_argument("--port", type=int, default=0, help="the port (default: any free one)")
    serve.add_argument("--host", default="127.0.0.1", help="the address (default: %(default)s)")
    serve.add_argument(
        "--tokens-per-second", type=float, help="the rate of streams (default: at once)"
    )
    serve.add_argument("--token", help="what callers must know; needed for other machines")
    return parser


def _announce(sandbox: Sandbox, host: str) -> None:
    if not _is_loopback(host):
        warning = f"warning: {host} is not a loopback address; the documents are open to others"
        print(f"qaip-sandbox: {warning}", file=sys.stderr)
    print(f"# {len(sandbox.documents)} documents, {len(sandbox.chunks)} chunks: {sandbox.url}")
    for name, value in sandbox.env.items():
        print(f"export {name}={shlex.quote(value)}")
    print("# Ctrl-C ends the sandbox", flush=True)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(part for part in (error.strerror, error.filename) if part)
    return str(error)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
