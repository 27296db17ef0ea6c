"""Two thousand real documents, and questions in a person's words with the source that answers."""

import ast
import statistics
import sys
import sysconfig
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from qaip_sandbox.collection import Collection

DOCUMENTS = 2_000
CHUNKS = 10_000
LEFT_OUT = {
    "__pycache__", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data",
    "site-packages", "test", "tests", "turtledemo",
}  # fmt: skip

JAPANESE = ("保証期間は何年ですか？", "バッテリーの交換の料金", "修理の送料")
NAMED = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

# What is asked, and what may answer: written first, and looked at while the search was made.
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

# Written before the ranking was changed last, and not looked at while it was.
HELD_OUT = {
    "How do I wrap a paragraph at 70 columns?": {
        "textwrap", "textwrap.TextWrapper", "textwrap.fill", "textwrap.wrap",
    },
    "How do I read a CSV file into dictionaries, one for each row?": {"csv", "csv.DictReader"},
    "How do I move a file to another place?": {"shutil.move"},
    "Which value occurs most often in my data?": {"statistics.mode", "statistics.multimode"},
    "How do I fit a straight line through some points?": {"statistics.linear_regression"},
    "How do I quote an argument so that the shell takes it as one word?": {"shlex.quote"},
    "How can I tell whether two files have the same content?": {"filecmp", "filecmp.cmp"},
    "How do I safely evaluate a string that holds a Python literal?": {"ast.literal_eval"},
    "How do I run a function in a pool of processes?": {
        "concurrent.futures.process", "concurrent.futures.process.ProcessPoolExecutor",
        "concurrent.futures.process.ProcessPoolExecutor.map", "multiprocessing.pool.Pool",
    },
    "How do I download a file from a URL?": {
        "urllib.request", "urllib.request.urlopen", "urllib.request.urlretrieve",
    },
    "How do I keep a dictionary on disk?": {
        "shelve", "shelve.DbfilenameShelf", "shelve.Shelf", "shelve.open",
    },
    "How do I write log messages to a file that is replaced when it grows too big?": {
        "logging.handlers.BaseRotatingHandler", "logging.handlers.RotatingFileHandler",
    },
    "How do I make a context manager out of a generator?": {
        "contextlib.asynccontextmanager", "contextlib.contextmanager",
    },
    "How do I get the source code of a function?": {"inspect.getsource", "inspect.getsourcelines"},
    "How do I start the debugger after an exception was raised?": {
        "pdb", "pdb.pm", "pdb.post_mortem",
    },
    "How do I find out the version of the Python that is running?": {
        "platform.python_version", "platform.python_version_tuple",
    },
    "How do I make a unique random identifier?": {"uuid", "uuid.UUID", "uuid.uuid4"},
    "How do I read one line of a file by its number?": {"linecache", "linecache.getline"},
    "How do I check that the examples in my docstrings are right?": {
        "doctest", "doctest.run_docstring_examples", "doctest.testfile", "doctest.testmod",
    },
    "How do I get from ~ to the path of my home directory?": {
        "ntpath.expanduser", "posixpath.expanduser",
    },
}  # fmt: skip

# Asked as people ask who know what a thing is called; written last, and asked only then.
IN_TERMS = {
    "How do I parse a JSON string?": {"json", "json.loads", "json.decoder.JSONDecoder"},
    "How do I copy a directory tree?": {"shutil.copytree"},
    "How do I compress data with gzip?": {"gzip", "gzip.compress"},
    "How do I make a zip archive of a folder?": {"shutil.make_archive"},
    "How can I pretty print a nested data structure?": {
        "pprint", "pprint.PrettyPrinter", "pprint.pformat", "pprint.pp", "pprint.pprint",
    },
    "How do I parse command line arguments?": {
        "argparse", "argparse.ArgumentParser", "getopt", "getopt.getopt", "optparse",
        "optparse.OptionParser",
    },
    "How do I send an email over SMTP?": {"smtplib", "smtplib.SMTP"},
    "How do I convert a dataclass to a dictionary?": {"dataclasses.asdict"},
    "What does functools.partial do?": {"functools.partial"},
    "Which class counts items?": {"collections.Counter"},
    "How do I create a virtual environment?": {"venv", "venv.EnvBuilder", "venv.create"},
    "How do I read a password without echoing it?": {
        "getpass", "getpass.fallback_getpass", "getpass.getpass", "getpass.unix_getpass",
        "getpass.win_getpass",
    },
    "How do I serve files over HTTP?": {
        "http.server", "http.server.SimpleHTTPRequestHandler", "http.server.HTTPServer",
    },
    "How do I unescape HTML entities?": {"html.unescape"},
    "How do I compute the standard deviation of a sample?": {"statistics.stdev"},
    "How do I schedule events at a given time?": {"sched", "sched.scheduler"},
    "How do I profile a program?": {
        "cProfile", "cProfile.Profile", "cProfile.run", "profile", "profile.Profile",
        "profile.run",
    },
    "How do I find all files that match a pattern like *.txt?": {
        "fnmatch", "fnmatch.filter", "glob", "glob.glob", "glob.iglob",
    },
    "How do I mock an object in a unit test?": {
        "unittest.mock", "unittest.mock.MagicMock", "unittest.mock.Mock", "unittest.mock.patch",
    },
    "How do I format a traceback as a string?": {
        "traceback", "traceback.format_exc", "traceback.format_exception", "traceback.format_tb",
    },
}  # fmt: skip

# How many must have the right source first, and among the first five, on which answers are built:
# what was seen with Python 3.11; the texts of each Python differ, so that others may have two less.
SLACK = 0 if sys.version_info[:2] == (3, 11) else 2
SETS = {
    "written first": (QUESTIONS, 17, 20),
    "held out": (HELD_OUT, 11, 18),
    "in terms": (IN_TERMS, 15, 19),
}


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


@pytest.mark.parametrize("name", SETS)
def test_two_thousand_documents_answer_a_persons_questions(library: Collection, name: str) -> None:
    questions, at_least, among_five = SETS[name]
    places = {asked: place(library, asked, right) for asked, right in questions.items()}
    missed = {asked: where for asked, where in places.items() if where != 1}
    first, five = len(places) - len(missed), sum(where > 0 for where in places.values())
    print(f"{name}: {first} of {len(places)} first, {five} among five; missed: {missed}")
    assert len(library.documents) >= DOCUMENTS
    assert first >= at_least - SLACK, missed
    assert five >= among_five - SLACK, missed


def place(library: Collection, asked: str, right: set[str]) -> int:
    """Return where the first right source stands among five, from 1; 0 if it does not."""
    titles = [hit.chunk.document.title for hit in library.index.search(asked, 5)]
    return next((number for number, title in enumerate(titles, 1) if title in right), 0)


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
