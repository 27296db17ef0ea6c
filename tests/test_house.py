"""The rules of the house: who may import whom, what is public, what is in the wheel."""

import ast
import importlib
import inspect
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from qaip_core import AsyncClient, Client

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "langchain_qaip": ROOT / "langchain_qaip",
    "llama_index_qaip": ROOT / "llama_index_qaip",
    "qaip_core": ROOT / "shared/qaip_core",
    "qaip_sandbox": ROOT / "shared/qaip_sandbox",
}
FRAMEWORKS = {"langchain_core", "langchain", "llama_index"}
SERVERS = {"starlette", "uvicorn", "fastapi", "anyio"}
VENDORS = {"openai", "fireworks", "perplexity", "requests", "aiohttp", "httpx_sse", "tenacity"}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    folder = FOLDERS[package]
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = {name: path for package in FOLDERS for name, path in modules(package)}
each_module = pytest.mark.parametrize("name", MODULES)


def absolute(name: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    levels = node.level - (MODULES[name].name == "__init__.py")
    base = name.split(".")[: -levels or None]
    return ".".join([*base, node.module] if node.module else base)


@cache
def imports(name: str) -> frozenset[str]:
    """Return all modules that a module imports, wherever in it, by their full names."""
    found: set[str] = set()
    path = MODULES[name]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = absolute(name, node)
            found.add(module)
            full = (f"{module}.{alias.name}" for alias in node.names)
            found.update(f for f in full if f in MODULES)
    return frozenset(found)


def tops(name: str) -> set[str]:
    return {imported.partition(".")[0] for imported in imports(name)}


def of(package: str) -> list[str]:
    return [name for name in MODULES if name.partition(".")[0] == package]


def test_there_are_modules_in_every_package() -> None:
    assert all(of(package) for package in FOLDERS)


COMMAND = "qaip_core.command"


@pytest.mark.parametrize("name", of("qaip_core"))
def test_the_core_imports_no_framework_and_no_server(name: str) -> None:
    others = FOLDERS.keys() - {"qaip_core"}
    others -= {"qaip_sandbox"} if name.startswith(COMMAND) else set()
    assert not tops(name) & (FRAMEWORKS | SERVERS | VENDORS | others)


@pytest.mark.parametrize("name", [n for n in MODULES if not n.startswith(COMMAND)])
def test_nobody_imports_the_command(name: str) -> None:
    assert not any(imported.startswith(COMMAND) for imported in imports(name))


def test_the_command_does_not_need_the_sandbox_or_rich() -> None:
    names = [n for n in of("qaip_core") if n.startswith(COMMAND) and not n.endswith("__main__")]
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, {', '.join(names)}; print(*sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    assert not {"httpx", "qaip_sandbox", "rich", "markdown_it", *FRAMEWORKS} & set(loaded)


@pytest.mark.parametrize("name", of("qaip_core"))
def test_only_the_pool_imports_httpx(name: str) -> None:
    assert not tops(name) & {"httpx", "httpx2", "httpcore"} or name == "qaip_core.pool"


@pytest.mark.parametrize("name", [n for n in of("qaip_core") if ".backends." in n])
def test_a_backend_imports_no_other_backend(name: str) -> None:
    own = ".".join(name.split(".")[:3])
    others = {i for i in imports(name) if i.startswith("qaip_core.backends.")}
    others = {i for i in others if i != own and not i.startswith(f"{own}.")}
    assert all(other.startswith("qaip_core.backends._") for other in others)
    assert not imports(name) & {"qaip_core.client", "qaip_core.flow", "qaip_core.connection"}


@pytest.mark.parametrize("name", of("langchain_qaip") + of("llama_index_qaip"))
def test_a_framework_package_stands_on_the_core_alone(name: str) -> None:
    package = name.partition(".")[0]
    other = {"langchain_qaip": "llama_index_qaip", "llama_index_qaip": "langchain_qaip"}[package]
    theirs = {"langchain_qaip": {"llama_index"}, "llama_index_qaip": {"langchain_core"}}[package]
    # Opt-in, and only there: it tells the package `langchain` of our classes, if it is installed.
    theirs |= set() if name == "langchain_qaip._providers" else {"langchain"}
    assert not tops(name) & ({other, "qaip_sandbox"} | theirs | SERVERS | VENDORS)


@pytest.mark.parametrize("name", of("qaip_sandbox"))
def test_the_sandbox_imports_the_core_s_types_only(name: str) -> None:
    of_core = {i for i in imports(name) if i.partition(".")[0] == "qaip_core"}
    assert of_core <= {"qaip_core.types"}
    assert not tops(name) & (FRAMEWORKS | VENDORS | {"langchain_qaip", "llama_index_qaip"})


@each_module
def test_nobody_imports_the_folder_shared(name: str) -> None:
    assert "shared" not in tops(name)


def test_shared_is_no_package() -> None:
    assert not (ROOT / "shared/__init__.py").exists()


@each_module
def test_a_module_says_what_is_public(name: str) -> None:
    if name.endswith("__main__"):
        return
    module = importlib.import_module(name)
    assert isinstance(module.__all__, list | tuple)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [public for public in module.__all__ if not hasattr(module, public)] == []


@each_module
def test_a_module_has_a_docstring(name: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[name].read_text("utf-8")))


def public_methods(kind: type) -> dict[str, Any]:
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_both_clients_have_the_same_methods() -> None:
    sync, asynchronous = public_methods(Client), public_methods(AsyncClient)
    assert sync.keys() == asynchronous.keys()
    for name, signature in sync.items():
        assert signature.parameters == asynchronous[name].parameters, name


@pytest.mark.parametrize("package", ["langchain_qaip", "llama_index_qaip"])
def test_the_signature_of_a_class_names_its_fields_before_the_class_is_used(package: str) -> None:
    code = f"""
import inspect, {package} as package
for found in (getattr(package, name) for name in package.__all__):
    if isinstance(fields := getattr(found, "model_fields", None), dict) and "api_key" in fields:
        taken = inspect.signature(found).parameters.keys()
        print(found.__name__, *(n for n, f in fields.items() if not {{n, f.alias}} & taken))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    found = [line.split() for line in ran.stdout.splitlines()]
    assert len(found) >= 5
    assert [(name, missing) for name, *missing in found if missing] == []


LAZY = {
    "qaip_core": FRAMEWORKS | SERVERS,
    "langchain_qaip": {"llama_index", "qaip_sandbox"} | SERVERS - {"anyio"},
    "llama_index_qaip": {"langchain_core", "qaip_sandbox"} | SERVERS - {"anyio"},
}


@pytest.mark.parametrize(("package", "strangers"), LAZY.items(), ids=LAZY)
def test_importing_a_package_loads_no_stranger(package: str, strangers: set[str]) -> None:
    code = f"import sys, {package}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", code],
        capture_output=True,
        check=True,
        text=True,
    )
    foreign = set(loaded.stdout.split()) & strangers
    if package == "qaip_core":
        foreign -= {"anyio"}  # httpx's own, through httpcore
    assert foreign == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as content:
        return set(content.namelist())


def test_a_wheel_holds_four_packages_and_nothing_else(wheel: set[str]) -> None:
    top = {name.partition("/")[0] for name in wheel}
    (info,) = {name for name in top if name.endswith(".dist-info")}
    assert info.startswith("qaip_integrations-")
    assert top - {info} == set(FOLDERS)


def test_a_wheel_holds_every_module_and_its_types(wheel: set[str]) -> None:
    assert {f"{package}/py.typed" for package in FOLDERS} <= wheel
    assert "qaip_core/errors.md" in wheel  # for `qaip explain`
    expected = {
        str(path.relative_to(FOLDERS[name.partition(".")[0]].parent))
        for name, path in MODULES.items()
    }
    assert expected <= wheel
    # These are for the tests of others.
    meant = ("llama_index_qaip/testing/", "qaip_sandbox/pytest_plugin.py")
    ours = {name for name in wheel if not name.startswith(meant)}
    assert not any("__pycache__" in name or "test" in name.lower() for name in ours)
