"""Two thousand real documents, and questions in a person's words with the source that answers."""

import ast
import statistics
import sysconfig
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from qaip_sandbox.collection import Collection

AT_LEAST = 17
DOCUMENTS = 2_000
CHUNKS = 10_000
LEFT_OUT = {
    "__pycache__", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data",
    "site-packages", "test", "tests", "turtledemo",
}  # fmt: skip

JAPANESE = ("保証期間は何年ですか？", "バッテリーの交換の料金", "修理の送料")
NAMED = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

# Written before the search was tuned, and not changed since: what is asked, what may answer.
QUESTIONS = {
    "How can I shorten a long text so that it fits a given width?": {"textwrap.shorten"},
    "How do I delete a whole directory tree, including its contents?": {"shutil.rmtree"},
    "What is the median of a list of numbers and how do I get it?": {"statistics.median"},
    "Which function shows the differences between two files in unified format?": {
        "difflib.unified_diff"
    },
    "How can I run an external program and get its output?": {"subprocess.check_output"},
    "How do I add a prefix to the start of each line?": {"textwrap.indent"},
    "How do I guess the MIME type of a file from its name?": {
        "mimetypes.guess_type", "mimetypes.guess_file_type", "mimetypes.MimeTypes", "mimetypes",
    },
    "Where can I find the path of a command, like `which` in a shell?": {"shutil.which"},
    "How do I make a temporary file that is deleted when I close it?": {
        "tempfile.NamedTemporaryFile", "tempfile.TemporaryFile",
    },
    "How do I open a web page in the user's browser?": {"webbrowser.open", "webbrowser"},
    "How do I check whether a year is a leap year?": {"calendar.isleap"},
    "How do I cache the results of a function so that it is not computed twice?": {
        "functools.lru_cache", "functools.cache",
    },
    "How do I split a URL into its parts?": {
        "urllib.parse.urlsplit", "urllib.parse.urlparse",
    },
    "How can I escape characters like < and & before I put text in an HTML page?": {"html.escape"},
    "How do I read settings from an INI file?": {
        "configparser", "configparser.ConfigParser", "configparser.RawConfigParser",
    },
    "How do I generate a random token that is safe to put in a link?": {"secrets.token_urlsafe"},
    "How do I wait until a coroutine is done, but give up after some seconds?": {
        "asyncio.tasks.wait_for", "asyncio.timeouts.timeout",
    },
    "How do I get the words that are close to a misspelt one?": {"difflib.get_close_matches"},
    "How do I measure how long a small piece of code takes?": {
        "timeit", "timeit.timeit", "timeit.Timer",
    },
    "How do I encode bytes as base64 text?": {
        "base64.b64encode", "base64.standard_b64encode", "base64.encodebytes",
    },
}  # fmt: skip


def trees(library: Path) -> Iterator[tuple[str, ast.Module]]:
    """Yield the name and the syntax tree of each public module, sorted by path."""
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        hidden = any(part.startswith("_") for part in name.split("."))
        if name and not hidden and not LEFT_OUT.intersection(parts):
            yield name, ast.parse(path.read_bytes())


def named(name: str, node: ast.Module | ast.ClassDef) -> dict[str, Any]:
    """Return the public classes and functions of a module, or methods of a class, by name."""
    things = [one for one in node.body if isinstance(one, NAMED)]
    return {f"{name}.{one.name}": one for one in things if not one.name.startswith("_")}


def documented(library: Path) -> dict[str, str]:
    """Return a document for each public module, class and function that has a docstring.

    A Python that comes without some modules has too few: methods then make up the number.
    """
    modules = dict(trees(library))
    things = {
        name: one for module, tree in modules.items() for name, one in named(module, tree).items()
    }
    found = {
        name: text for name, one in (modules | things).items() if (text := ast.get_docstring(one))
    }
    classes = {name: one for name, one in things.items() if isinstance(one, ast.ClassDef)}
    methods = {
        name: one for thing, node in classes.items() for name, one in named(thing, node).items()
    }
    more = ((name, text) for name, one in methods.items() if (text := ast.get_docstring(one)))
    return found | dict(islice(more, max(0, DOCUMENTS - len(found))))


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    folder = tmp_path_factory.mktemp("library")
    for name, text in documented(Path(sysconfig.get_path("stdlib"))).items():
        where = folder / name.partition(".")[0]
        where.mkdir(exist_ok=True)
        (where / f"{name}.md").write_text(f"# {name}\n\n{text}\n", encoding="utf-8")
    with Collection(folder) as collection:
        collection.refresh()
        yield collection


def test_two_thousand_documents_answer_a_persons_questions(library: Collection) -> None:
    firsts = {asked: library.index.search(asked, 1) for asked in QUESTIONS}
    found = {asked: hits[0].chunk.document.title if hits else "" for asked, hits in firsts.items()}
    missed = {asked: title for asked, title in found.items() if title not in QUESTIONS[asked]}
    print(f"{len(QUESTIONS) - len(missed)} of {len(QUESTIONS)}; wrong: {missed}")
    assert len(library.documents) >= DOCUMENTS
    assert len(QUESTIONS) - len(missed) >= AT_LEAST, missed


@pytest.fixture(scope="session")
def many(library: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of more than ten thousand chunks: each document has about ten, of real text."""
    folder = tmp_path_factory.mktemp("many")
    texts = cycle(chunk.text.replace("\n\n", "\n") for chunk in library.chunks)
    for number in range(CHUNKS // 9):
        parts = (f"## Part {part} of {number}\n\n{next(texts)[:700]}" for part in range(10))
        (folder / f"{number}.md").write_text("\n\n".join(parts), encoding="utf-8")
    return folder


def test_ten_thousand_chunks_are_indexed_in_seconds_and_asked_in_milliseconds(many: Path) -> None:
    with Collection(many) as collection:
        begin = time.process_time()
        collection.refresh()
        indexed = time.process_time() - begin
        taken = [_cpu(collection, asked) for asked in (*QUESTIONS, *JAPANESE)]
    assert len(collection.chunks) >= CHUNKS
    print(f"{indexed:.1f} s to index, {statistics.median(taken) * 1000:.1f} ms a question")
    # Generous, since machines differ: some 2 s and 10 ms where this was written.
    assert indexed < 15
    assert statistics.median(taken) < 0.1


def _cpu(collection: Collection, asked: str) -> float:
    begin = time.thread_time()
    collection.index.search(asked, 5)
    return time.thread_time() - begin
