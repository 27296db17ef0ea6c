"""The pages of the reference: every public name, on the page of what it is.

The pages are made from ``__all__``: a new name has an entry at once.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["GUIDE", "reference"]


@dataclass(frozen=True)
class Listed:
    """Names of one module on one page.

    Parameters:
        page: the page's name.
        title: its title.
        says: the sentence below it.
        module: where the names are public.
        heading: what stands above them, if others stand on the page too.
        takes: tells which objects of ``__all__`` belong here; what an earlier row of the same
            module took is not offered again.
        inherited: whether entries show the members of their bases.
    """

    page: str
    title: str
    says: str
    module: str
    heading: str = ""
    takes: Callable[[Any], bool] = bool
    inherited: bool = True


def _is_a(*bases: str) -> Callable[[Any], bool]:
    """Return whether an object is a subclass of one with one of these names."""

    def takes(found: Any) -> bool:
        return inspect.isclass(found) and any(cls.__name__ in bases for cls in found.__mro__)

    return takes


def _is_no_module(found: Any) -> bool:
    return not inspect.ismodule(found)


GUIDE = (
    Listed(
        "langchain-chat-models",
        "LangChain chat models",
        "Chat models of LangChain: each takes the parameters of its service and those that all "
        "classes share.",
        "langchain_qaip",
        takes=_is_a("BaseChatModel"),
    ),
    Listed(
        "langchain-llms",
        "LangChain text LLMs",
        "Classes of LangChain that turn a text into a text.",
        "langchain_qaip",
        takes=_is_a("BaseLLM"),
    ),
    Listed(
        "langchain-retrievers",
        "LangChain retrievers, tools, embeddings",
        "Everything of LangChain besides models that answer: searches, tools, vectors, workflows, "
        "and what shows an answer.",
        "langchain_qaip",
        "Retrievers",
        takes=_is_a("BaseRetriever"),
    ),
    Listed(
        "langchain-retrievers",
        "",
        "",
        "langchain_qaip",
        "Tools, extractors and workflows",
        takes=_is_a("BaseTool", "RunnableSerializable"),
    ),
    Listed(
        "langchain-retrievers",
        "",
        "",
        "langchain_qaip",
        "Embeddings and reranking",
        takes=_is_a("Embeddings", "BaseDocumentCompressor"),
    ),
    Listed("langchain-retrievers", "", "", "langchain_qaip", "Functions, and what else there is"),
    Listed(
        "llama-index-llms",
        "LlamaIndex LLMs",
        "LLMs of LlamaIndex, for chat and for completion: each takes the parameters of its service "
        "and those that all classes share.",
        "llama_index_qaip",
        takes=_is_a("LLM"),
    ),
    Listed(
        "llama-index-retrievers",
        "LlamaIndex engines, retrievers, embeddings",
        "Everything of LlamaIndex besides LLMs: engines, searches, vectors, workflows, and what "
        "shows an answer.",
        "llama_index_qaip",
        "Query engines and retrievers",
        takes=_is_a("BaseRetriever", "BaseQueryEngine"),
    ),
    Listed(
        "llama-index-retrievers",
        "",
        "",
        "llama_index_qaip",
        "Embeddings and reranking",
        takes=_is_a("BaseEmbedding", "BaseNodePostprocessor"),
    ),
    Listed(
        "llama-index-retrievers", "", "", "llama_index_qaip", "Functions, and what else there is"
    ),
    Listed(
        "bulk",
        "Tables of questions",
        "Many rows at once, on one machine or on a cluster; see [Tables of questions](../bulk.md).",
        "langchain_qaip.bulk",
        "In LangChain",
    ),
    Listed("bulk", "", "", "llama_index_qaip.bulk", "In LlamaIndex"),
    Listed("bulk", "", "", "qaip_core.bulk.report", "What a run returns", takes=inspect.isclass),
    Listed(
        "errors",
        "Error classes",
        "The classes to catch; what each means and what to do is in [Errors](../errors.md).",
        "langchain_qaip.errors",
        "In LangChain: also LangChain's own families",
        inherited=False,
    ),
    Listed("errors", "", "", "llama_index_qaip.errors", "In LlamaIndex", inherited=False),
    Listed("errors", "", "", "qaip_core.errors", "In the core", inherited=False),
    Listed(
        "core",
        "The core",
        "What both frameworks' classes stand on; of use by itself where there is no framework.",
        "qaip_core",
        "Clients and vocabulary",
    ),
    Listed("core", "", "", "qaip_core.rendering", "Answers that show themselves"),
    Listed("core", "", "", "qaip_core.tokens", "Keys that expire"),
    Listed("core", "", "", "qaip_core.backends.qaip.filters", "Filters of Qaip"),
    Listed(
        "sandbox",
        "The sandbox",
        "The five services on your own machine, from Python; see [The sandbox](../sandbox.md).",
        "qaip_sandbox",
        "The sandbox, faults and the judge",
    ),
    Listed("sandbox", "", "", "qaip_sandbox.pytest_plugin", "Fixtures of the pytest plugin"),
    Listed(
        "conformance",
        "The LlamaIndex contract as tests",
        "Suites for your own classes; see [the contract](../conformance.md).",
        "llama_index_qaip.testing",
    ),
    Listed(
        "fireworks-api",
        "The interface of fireworks-ai 0.x",
        "Code that was written for the old client runs on these names.",
        "qaip_core.fireworks_api",
        takes=_is_no_module,
    ),
)


def reference() -> dict[str, str]:
    """Return the pages, by their paths in the site."""
    pages: dict[str, list[str]] = {}
    index = ["# Reference", "", "Every public name, with what it takes and what it does.", ""]
    for row, names in _shared_out(GUIDE):
        path = f"reference/{row.page}.md"
        if row.title:
            pages[path] = [f"# {row.title}", "", row.says, ""]
            index += [f"## {row.title}", "", row.says.replace("../", "@/"), ""]
        if row.heading:
            pages[path] += [f"## {row.heading}", ""]
            index += [f"### {row.heading}", ""]
        index += ["| Name | What it is |", "| --- | --- |", *_lines(row.module, names), ""]
        for name in names:
            level = 3 if row.heading else 2
            pages[path] += [
                f"::: {row.module}.{name}",
                "    options:",
                f"      heading_level: {level}",
                f"      inherited_members: {str(row.inherited).lower()}",
                "",
            ]
    text = "\n".join(index).replace("@/", "../")
    return {"reference/index.md": text} | {path: "\n".join(p) for path, p in pages.items()}


def _lines(module: str, names: list[str]) -> Iterator[str]:
    """Yield the rows of a table: each name with the first sentence of its docstring."""
    for name in names:
        found = getattr(import_module(module), name)
        says = inspect.getdoc(found) or "" if callable(found) else ""
        first = re.split(r"(?<=[.])\s", says.split("\n\n")[0].replace("\n", " "))[0]
        plain = re.sub(r"`+", "`", first).replace("|", "\\|").replace("<", "&lt;")
        yield f"| [`{name}`][{module}.{name}] | {plain} |"


def _shared_out(rows: tuple[Listed, ...]) -> Iterator[tuple[Listed, list[str]]]:
    """Yield each row with its names; a name goes to the first row that takes it."""
    left: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row.module not in left:
            module = import_module(row.module)
            left[row.module] = {name: getattr(module, name) for name in module.__all__}
        taken = [name for name, found in left[row.module].items() if row.takes(found)]
        left[row.module] = {n: f for n, f in left[row.module].items() if n not in taken}
        if taken:
            yield row, sorted(taken, key=str.lower)
