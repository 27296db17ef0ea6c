"""Importing a package loads its own modules, and hardly one of others."""

import subprocess
import sys
from collections.abc import Mapping
from functools import cache

import pytest

FRAMEWORKS: Mapping[str, str] = {
    "langchain_qaip": "langchain_core.language_models.chat_models",
    "llama_index_qaip": "llama_index.core.llms",
    "qaip_core": "asyncio, importlib.metadata, pydantic.main, pydantic.type_adapter",
}
"""What each stands on; its user has that in any case."""

FOREIGN: Mapping[str, int] = {"langchain_qaip": 1, "llama_index_qaip": 0, "qaip_core": 10}
"""How many modules of others each loads besides."""

LATER = {
    "click", "difflib", "email.message", "h11", "html.entities", "httpcore", "httpx", "idna",
    "langchain_core.language_models.llms", "langchain_core.retrievers", "langchain_core.tools.base",
    "pygments", "rich", "tenacity",
}  # fmt: skip
"""What is not loaded before it is needed, unless the framework has done so."""

_SPARE = 6  # other versions of frameworks have other modules
_OURS = {"langchain_qaip", "llama_index_qaip", "qaip_core"}
_CODE = "import sys, {0}; before = {{*sys.modules}}; import {1}; print(*{{*sys.modules}} - before)"

each_package = pytest.mark.parametrize("package", FRAMEWORKS)


@cache
def added(package: str) -> frozenset[str]:
    """Return what a package loads that its framework has not."""
    code = _CODE.format(FRAMEWORKS[package], package)
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    ).stdout
    return frozenset(shown.split())


@each_package
def test_a_package_loads_hardly_a_module_of_others(package: str) -> None:
    foreign = {name for name in added(package) if name.partition(".")[0] not in _OURS}
    assert len(foreign) <= FOREIGN[package] + _SPARE, sorted(foreign)


@each_package
def test_what_is_dear_is_loaded_when_it_is_needed(package: str) -> None:
    assert not added(package) & LATER


_AT_ONCE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
import langchain_qaip
sys.setswitchinterval(1e-6)
made = Barrier(8)
def make(cls):
    made.wait()
    return cls(model="m", api_key="k", base_url="https://tea.example", timeout="3").timeout
with ThreadPoolExecutor(8) as pool:
    for cls in (langchain_qaip.ChatFireworks, langchain_qaip.DifyLLM):
        assert [*pool.map(make, [cls] * 8)] == [3.0] * 8
"""


def test_classes_are_built_at_their_first_use_also_by_many_threads_at_once() -> None:
    subprocess.run([sys.executable, "-c", _AT_ONCE], check=True, timeout=60)


def test_text_models_and_retrievers_are_found_where_they_were() -> None:
    code = "import langchain_qaip as q; print(q.llms.QaipLLM is q.QaipLLM, 'DifyLLM' in dir(q))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert shown.stdout.split() == ["True", "True"]
