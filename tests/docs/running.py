"""Runs the blocks of a page in order, as a reader would: beside the documents, on the sandbox."""

from __future__ import annotations

import ast
import contextlib
import doctest
import gc
import io
import os
import re
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from .blocks import Block, Page

__all__ = ["ROOT", "compare", "run"]

ROOT = Path(__file__).resolve().parents[2]
_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
_EXTRAS = set(re.findall(r"^([a-z-]+) = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.M))
# These lines would install, or take minutes: what they name is looked up instead.
_LOOKED_UP = re.compile(
    r"^(?:\w+=\S+ )*(make\b|pip (un)?install|uv pip|python3? -m venv|git |cd |source )"
)
# A page that runs pytest at its end shows its files of tests before; they are run once, there.
_PYTEST = re.compile(r"^pytest\b", re.MULTILINE)
_CHECKER = doctest.OutputChecker()
_LOOSELY = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run(page: Page) -> None:
    """Run all blocks of a page, in one namespace.

    Raises:
        AssertionError: a block fails, or prints something else than the page says.
    """
    name = page.path.relative_to(ROOT)
    names: dict[str, Any] = {"__name__": "page"}
    printed: str | None = ""
    blocks = _at_free_ports(page.blocks)
    last_pytest = max((b.line for b in blocks if _PYTEST.search(b.code)), default=0)
    with contextlib.ExitStack() as served:
        for block in blocks:
            where = f"{name}:{block.line}"
            if "prints" in block.said:
                if printed is not None:
                    compare(where, block.code, printed)
            elif "in" in block.said:
                printed = None  # test_migration.py knows
            elif "not run" in block.said:
                assert block.said["not run"], f"{where} does not say why it is not run"
            elif "serves" in block.said:
                served.enter_context(_serving(block))
            elif _holds_tests(block) and "file" in block.said and block.line < last_pytest:
                _write(block)
            elif block.language in _RUNNERS:
                printed = _RUNNERS[block.language](block, where, names)
            else:
                _write(block)
    names.clear()
    gc.collect()  # what a framework leaves open warns while that is not ours to hear


def _at_free_ports(blocks: list[Block]) -> list[Block]:
    """Return the blocks with other ports for their servers, as a reader may have those taken."""
    for port in {str(httpx.URL(b.said["serves"]).port) for b in blocks if "serves" in b.said}:
        with socket.create_server(("127.0.0.1", 0)) as server:
            free = str(server.getsockname()[1])
        blocks = [
            replace(
                block,
                code=block.code.replace(port, free),
                said={name: value.replace(port, free) for name, value in block.said.items()},
            )
            for block in blocks
        ]
    return blocks


def _holds_tests(block: Block) -> bool:
    return block.language == "python" and "\ndef test_" in block.code.replace("\nasync ", "\n")


def _write(block: Block) -> None:
    if file := block.said.get("file"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(block.code, "utf-8")


def _python(block: Block, where: str, names: dict[str, Any]) -> str:
    _write(block)
    if _holds_tests(block):
        return _tests(block.said.get("file") or "test_page.py", block.code, where)
    # Line numbers are those of the page.
    tree = ast.parse(block.code)
    ast.increment_lineno(tree, block.line - 1)
    out = io.StringIO()
    wanted = block.said.get("raises")
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(tree, where, "exec"), names)
        except Exception as error:
            if type(error).__name__ != wanted:
                raise AssertionError(f"{where}:\n{traceback.format_exc()}") from error
            return f"{out.getvalue()}{type(error).__name__}: {error}"
    assert not wanted, f"{where} raises no {wanted}"
    return out.getvalue()


def _tests(file: str, code: str, where: str) -> str:
    """Run a block that holds tests, as pytest does in a project that has none of our settings."""
    Path(file).write_text(code, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--asyncio-mode=auto", file],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{where}:\n{done.stdout}{done.stderr}"
    return done.stdout


def _shell(block: Block, where: str, names: dict[str, Any]) -> str:
    lines = block.code.replace("\\\n", " ").splitlines()
    for line in lines:
        if _LOOKED_UP.match(line):
            _look_up(line, where)
    left = [line for line in lines if not _LOOKED_UP.match(line)]
    if not any(line.strip() and not line.startswith("#") for line in left):
        return ""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(left)],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    wanted = int(block.said.get("raises") or 0)
    assert done.returncode == wanted, f"{where} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout + (done.stderr if wanted else "")


def _look_up(line: str, where: str) -> None:
    """Assert that the targets and extras that a line names exist."""
    for target in re.findall(r"\bmake ([a-z-]+)", line):
        assert target in _TARGETS, f"{where}: there is no `make {target}`"
    for extras in re.findall(r"(?:\.|qaip-integrations)\[([a-z,-]+)\]", line):
        unknown = set(extras.split(",")) - _EXTRAS
        assert not unknown, f"{where}: there is no extra {unknown}"


@contextlib.contextmanager
def _serving(block: Block) -> Iterator[None]:
    command = ["bash", "-c", f"exec {block.code.strip()}"]
    with subprocess.Popen(
        command, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(block.said["serves"], process)
            yield
        finally:
            process.terminate()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        assert process.poll() is None, f"{process.args!r} ended at once"
        with contextlib.suppress(httpx.TransportError):
            httpx.get(url, trust_env=False)
            return
        time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def _environment() -> dict[str, str]:
    """Return an environment in which the commands of this interpreter are found.

    Of the many plugins that are installed here, pytest takes those that a reader has.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": path,
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "PYTHONUTF8": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "-p qaip_sandbox.pytest_plugin -p pytest_asyncio.plugin",
    }


def compare(where: str, wanted: str, printed: str) -> None:
    """Assert that what was printed is what a page says; `...` stands for anything."""
    same = _CHECKER.check_output(wanted, printed, _LOOSELY)
    assert same, f"{where} says\n{wanted}\nbut this was printed:\n{printed}"


_RUNNERS = {"python": _python, "sh": _shell, "bash": _shell, "console": _shell}
