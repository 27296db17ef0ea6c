"""Answers over all five services' protocols, through LangChain and LlamaIndex.

Without a key it starts the sandbox on a folder of documents and asks that. Settings, all
optional, from the environment:

    DOCS     the folder (default: examples/handbook)
    ASK      the question
    BACKEND  qaip, fireworks, pais, perplexity or dify: ask the real service, with its real key
    MODEL    the model for BACKEND
"""

from __future__ import annotations

import inspect
import os
import shlex
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

import langchain_qaip
import llama_index_qaip
from langchain_qaip import PAISLLM, ChatPerplexityAgent, ChatQaip, FireworksLLM
from llama_index_qaip import Dify
from qaip_core import ServiceError
from qaip_sandbox import Sandbox

PROMPT = ChatPromptTemplate.from_messages([("system", "{context}"), ("human", "{question}")])
FIREWORKS_MODEL = "accounts/fireworks/models/llama-v3p1-8b-instruct"
OUR_DOCUMENTS = Path("examples/handbook")
OUR_QUESTION = "When was the first light lit?"


def perplexity(question: str, model: str = "perplexity/sonar") -> None:
    chain = PROMPT | ChatPerplexityAgent(model=model, web_search=True)
    asked = {"context": "Answer briefly, with sources.", "question": question}
    langchain_qaip.show(chain.stream(asked))


def qaip(question: str) -> None:
    passages = RunnablePassthrough.assign(context=lambda known: as_context(known["context"]))
    rag = {
        "context": ChatQaip().as_retriever(k=3),
        "question": RunnablePassthrough(),
    } | RunnablePassthrough.assign(answer=passages | PROMPT | ChatQaip())
    langchain_qaip.show(rag.stream(question))


def dify(question: str) -> None:
    engine = Dify().as_query_engine(streaming=True)
    llama_index_qaip.show(engine.query(question))


def pais(question: str, model: str = "sandbox-extractive") -> None:
    llm = PAISLLM(model=model, max_tokens=120, temperature=0)
    langchain_qaip.show(llm.stream(question))


def fireworks(question: str, model: str = FIREWORKS_MODEL) -> None:
    llm = FireworksLLM(model=model, max_tokens=120)
    print(llm.invoke(question))


DEMOS: dict[str, tuple[str, Callable[..., None]]] = {
    "perplexity": ("Perplexity: a LangChain chain that streams, with its sources", perplexity),
    "qaip": ("Qaip: a LangChain RAG chain over ChatQaip().as_retriever()", qaip),
    "dify": ("Dify: a LlamaIndex query engine that streams, with its sources", dify),
    "pais": ("VMware Private AI Services: a text completion, streamed", pais),
    "fireworks": ("Fireworks: a text completion", fireworks),
}
OF_EACH_FRAMEWORK = ("perplexity", "dify")


def as_context(found: list[Document]) -> str:
    """Return the passages as the context of the question."""
    return "Answer from these passages:\n" + "\n\n".join(d.page_content for d in found)


def style(text: str, code: str) -> str:
    """Return text in bold or dim; plain where the output is no terminal."""
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() else text


def run(name: str, question: str, model: str | None = None) -> None:
    title, demo = DEMOS[name]
    print(f"\n{style('── ' + title + ' ' + '─' * max(0, 76 - len(title)), '1')}\n")
    demo(question, model) if model else demo(question)
    lines = inspect.getsource(demo).splitlines()[1:]
    code = "\n".join(lines)
    print(f"\n{style('  by:', '2')}\n{style(textwrap.indent(textwrap.dedent(code), '    '), '2')}")


def about(sandbox: Sandbox) -> str:
    """Return a question that the first document answers."""
    lines = [line for chunk in sandbox.chunks for line in chunk.text.splitlines()]
    prose = [line for line in lines if line.strip() and not line.startswith("#")]
    words = (prose or lines or ["this"])[0].split()[:8]
    return f"What is said about: {' '.join(words)}?"


def on_sandbox(folder: Path, question: str) -> None:
    with Sandbox(folder, tokens_per_second=300) as sandbox:
        os.environ.update(sandbox.env)
        if not sandbox.documents:
            raise FileNotFoundError(f"nothing to read in {folder}")
        if not question:
            question = OUR_QUESTION if folder == OUR_DOCUMENTS else about(sandbox)
        print(f"Sandbox on {folder}/: {len(sandbox.documents)} document(s), no network, no key.")
        print(f"Question: {style(question, '1')}")
        ours = folder == OUR_DOCUMENTS
        for name in DEMOS if ours else OF_EACH_FRAMEWORK:
            run(name, question)
    command = os.path.relpath(Path(sys.executable).with_name("qaip"))
    print()
    if ours:
        print("Your own documents: make demo DOCS=path/to/folder ASK='your question'")
    print(f"More questions:     {command} ask 'your question' --docs {shlex.quote(str(folder))}")
    print("A real service:     FIREWORKS_API_KEY=... make demo BACKEND=fireworks")


def main() -> int:
    question = os.environ.get("ASK", "")
    backend = os.environ.get("BACKEND", "")
    try:
        if not backend:
            on_sandbox(Path(os.environ.get("DOCS") or OUR_DOCUMENTS), question)
        elif backend in DEMOS:
            run(backend, question or "What is a lighthouse?", os.environ.get("MODEL"))
        else:
            print(f"BACKEND={backend} is none of: {', '.join(DEMOS)}", file=sys.stderr)
            return 2
    except (ServiceError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # it is a text stream
    sys.exit(main())
