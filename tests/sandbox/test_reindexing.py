"""A folder that changes, and an index that is kept in a file."""

import gc
import os
import sqlite3
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest

from qaip_sandbox.answers import answer
from qaip_sandbox.collection import Changes, Collection
from qaip_sandbox.index import Index

LAMP = "The Meridian lamp draws 9 watts."
LONG_AGO = 1_600_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "docs"
    where.mkdir()
    write(where / "lamps.md", f"# Lamps\n\n{LAMP}")
    write(where / "zebras.txt", "Zebras eat grass.")
    return where


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "index.sqlite"


@pytest.fixture
def collection(folder: Path) -> Iterator[Collection]:
    with Collection(folder) as collection:
        collection.refresh()
        yield collection


def write(path: Path, text: str, modified: float = LONG_AGO) -> None:
    path.write_text(text, encoding="utf-8")
    os.utime(path, (modified, modified))


def said(collection: Collection, question: str) -> str:
    return answer(collection.index, question).bare()


def told(changes: Changes) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], int]:
    return changes.added, changes.changed, changes.removed, changes.unchanged


def start(folder: Path, cache: Path) -> Changes:
    with Collection(folder, cache=cache) as collection:
        changes = collection.refresh()
        assert said(collection, "Which lamp draws watts?") == LAMP
    return changes


def test_before_the_first_refresh_there_is_nothing(folder: Path) -> None:
    with Collection(folder) as collection:
        assert (collection.documents, collection.chunks, collection.refused) == ((), (), ())
        assert collection.index.search("lamp", 5) == []


def test_a_refresh_tells_what_changed(folder: Path, collection: Collection) -> None:
    write(folder / "lamps.md", "# Lamps\n\nThe Meridian lamp draws 8 watts.", LONG_AGO + 5)
    write(folder / "new.md", "Rabbits eat carrots.")
    (folder / "zebras.txt").unlink()
    assert told(collection.refresh()) == (("new.md",), ("lamps.md",), ("zebras.txt",), 0)
    assert said(collection, "What do rabbits eat?") == "Rabbits eat carrots."
    assert said(collection, "Which lamp draws watts?") == "The Meridian lamp draws 8 watts."
    assert collection.index.search("zebras", 5) == []
    assert [document.path for document in collection.documents] == ["lamps.md", "new.md"]


def test_what_has_not_changed_is_not_read_again(folder: Path, collection: Collection) -> None:
    before = collection.documents
    assert told(collection.refresh()) == ((), (), (), 2)
    assert all(new is old for new, old in zip(collection.documents, before, strict=True))


def test_a_file_with_another_time_and_the_same_bytes_is_unchanged(
    folder: Path, collection: Collection
) -> None:
    os.utime(folder / "lamps.md", (LONG_AGO + 60, LONG_AGO + 60))
    assert told(collection.refresh()) == ((), (), (), 2)
    assert collection.documents[0].modified == LONG_AGO + 60


def test_a_file_that_was_just_written_is_compared_by_its_bytes(folder: Path) -> None:
    now = time.time()
    write(folder / "lamps.md", "The lamp is grey.", now)
    with Collection(folder) as collection:
        collection.refresh()
        write(folder / "lamps.md", "The lamp is blue.", now)
        assert collection.refresh().changed == ("lamps.md",)


def test_a_new_title_is_found_though_the_text_is_the_same(
    folder: Path, collection: Collection
) -> None:
    front = "---\ntitle: {}\n---\n\nIt is grey."
    write(folder / "a.md", front.format("Buckets"), LONG_AGO)
    collection.refresh()
    write(folder / "a.md", front.format("Shovels"), LONG_AGO + 5)
    collection.refresh()
    assert [hit.chunk.document.title for hit in collection.index.search("shovel", 5)] == ["Shovels"]
    assert collection.index.search("bucket", 5) == []


def test_a_folder_that_has_gone_is_an_error_and_the_documents_stay(
    folder: Path, collection: Collection
) -> None:
    folder.rename(folder.with_name("moved"))
    with pytest.raises(NotADirectoryError, match="not a folder"):
        collection.refresh()
    assert len(collection.documents) == 2


def test_a_limit_below_1_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="max_bytes"):
        Collection(folder, max_bytes=0)


def test_a_question_in_another_thread_sees_all_of_a_change_or_nothing(folder: Path) -> None:
    texts = [f"Zebra number {n} eats grass." for n in range(60)]
    with Collection(folder) as collection, ThreadPoolExecutor() as pool:
        collection.refresh()
        done = threading.Event()

        def ask() -> set[int]:
            seen = set()
            while not done.is_set():
                hits = collection.index.search("zebra number", 100)
                seen.add(sum("number" in hit.chunk.text for hit in hits))
            return seen

        asking = pool.submit(ask)
        for turn in range(4):
            for number, text in enumerate(texts):
                path = folder / f"{number}.txt"
                write(path, text) if turn % 2 == 0 else path.unlink()
            collection.refresh()
        done.set()
        assert asking.result() <= {0, len(texts)}


@pytest.mark.parametrize("turn", range(5))
def test_a_refresh_that_is_given_up_changes_nothing(folder: Path, turn: int) -> None:
    class After(threading.Event):
        """Is set when it has been asked `turn` times."""

        left = turn

        def is_set(self) -> bool:
            self.left -= 1
            return self.left < 0

    with Collection(folder) as collection:
        collection.refresh()
        asked = "Which lamp draws the zebras?"
        before = collection.documents, collection.chunks, collection.index.question(asked)
        write(folder / "lamps.md", "Rabbits eat carrots.", LONG_AGO + 5)
        (folder / "zebras.txt").unlink()
        assert told(collection.refresh(cancelled=After())) == ((), (), (), 2)
        assert said(collection, "Which lamp draws watts?") == LAMP
        assert (collection.documents, collection.chunks) == before[:2]
        assert collection.index.question(asked).weights == before[2].weights
        assert told(collection.refresh()) == ((), ("lamps.md",), ("zebras.txt",), 0)
        assert said(collection, "What do rabbits eat?") == "Rabbits eat carrots."
        assert collection.index.search("zebras", 5) == []


def test_a_first_refresh_that_is_given_up_leaves_what_the_cache_held(
    folder: Path, cache: Path
) -> None:
    start(folder, cache)
    given_up = threading.Event()
    given_up.set()
    with Collection(folder, cache=cache) as collection:
        assert told(collection.refresh(cancelled=given_up)) == ((), (), (), 2)
        assert len(collection.documents) == len(collection.chunks) == 2
        assert told(collection.refresh()) == ((), (), (), 2)


def test_a_collection_that_is_dropped_leaves_no_database_open(folder: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        collection = Collection(folder)
        collection.refresh()
        freed = collection.index._postings._free
        del collection
        gc.collect()
    assert not freed.alive
    assert [warning for warning in caught if warning.category is ResourceWarning] == []


def test_an_index_forgets_what_it_is_not_given_again(collection: Collection) -> None:
    left = collection.chunks[:1]
    with Index(collection.chunks) as index, Index(left) as fresh:
        index.update(left)
        asked = "Which lamp draws the zebras?"
        assert index.question(asked).weights == fresh.question(asked).weights
        assert index.chunks == collection.chunks[:1]
        assert index.search("zebras", 5) == []
        assert index.chunk(collection.chunks[1].id) is None
        index.update(collection.chunks)
        assert index.search("zebras", 5)[0].chunk == collection.chunks[1]


def test_a_second_start_reads_no_file(folder: Path, cache: Path) -> None:
    assert told(start(folder, cache)) == (("lamps.md", "zebras.txt"), (), (), 0)
    for path in folder.iterdir():
        size = path.stat().st_size
        write(path, "x" * size)
    assert told(start(folder, cache)) == ((), (), (), 2)


def test_a_second_start_finds_what_has_changed(folder: Path, cache: Path) -> None:
    start(folder, cache)
    write(folder / "zebras.txt", "Zebras eat hay.", LONG_AGO + 5)
    write(folder / "new.md", "Rabbits eat carrots.")
    assert told(start(folder, cache)) == (("new.md",), ("zebras.txt",), (), 1)
    assert told(start(folder, cache)) == ((), (), (), 3)


def test_a_cached_collection_equals_a_fresh_one(folder: Path, cache: Path) -> None:
    start(folder, cache)
    with Collection(folder, cache=cache) as cached, Collection(folder) as fresh:
        cached.refresh()
        fresh.refresh()
        assert cached.documents == fresh.documents
        assert cached.chunks == fresh.chunks
        question = "Which lamp draws watts?"
        assert cached.index.search(question, 5) == fresh.index.search(question, 5)


def test_the_cache_of_another_folder_is_made_anew(folder: Path, cache: Path) -> None:
    start(folder, cache)
    other = folder.rename(folder.with_name("other"))
    assert len(start(other, cache).added) == 2


def spoilt(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "noise":
        path.write_bytes(data[:100] + bytes(len(data) - 100))
    elif how == "empty":
        path.write_bytes(b"")
    else:
        with sqlite3.connect(path) as database:
            database.executescript(how)
        database.close()


@pytest.mark.parametrize(
    "how",
    [
        "cut",
        "noise",
        "empty",
        "DROP TABLE chunks",
        "DELETE FROM made",
        "UPDATE made SET by = 'another version'",
        "UPDATE chunks SET id = 'unknown'",
        "UPDATE documents SET text = ''",
        "UPDATE documents SET facts = '[]'",
        "UPDATE documents SET passages = '{'",
        "UPDATE documents SET passages = '[[0, 999, \"\", 0, \"\"]]' WHERE path = 'zebras.txt'",
        f"UPDATE documents SET passages = '{'[' * 100_000}'",
        "UPDATE documents SET text = NULL",
        "DROP TABLE postings",
        "DELETE FROM postings_data",
        "DELETE FROM postings_data WHERE id > 10",
        "INSERT INTO postings(postings) VALUES ('delete-all')",
        "DROP TABLE postings; CREATE TABLE postings (postings, rank, title, heading, body)",
        "DELETE FROM chunks",
        "DELETE FROM chunks WHERE row = 1",
    ],
)
def test_a_damaged_cache_is_made_anew(folder: Path, cache: Path, how: str) -> None:
    start(folder, cache)
    spoilt(cache, how)
    assert len(start(folder, cache).added) == 2
    assert start(folder, cache).unchanged == 2


@pytest.mark.parametrize("library", ["snowballstemmer", "html-to-markdown", "pypdf", "markitdown"])
def test_another_version_of_a_library_makes_the_cache_anew(
    folder: Path, cache: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(folder, cache)
    monkeypatch.setattr(
        "qaip_sandbox.cache.version", lambda name: "0.1" if name == library else version(name)
    )
    assert len(start(folder, cache).added) == 2


@pytest.mark.parametrize("kind", ["text", "database"])
def test_a_file_that_is_no_index_is_left_alone(folder: Path, cache: Path, kind: str) -> None:
    cache.parent.mkdir()
    if kind == "text":
        cache.write_text("My diary")
    else:
        with sqlite3.connect(cache) as database:
            database.execute("CREATE TABLE diary (day)")
        database.close()
    before = cache.read_bytes()
    changes = start(folder, cache)
    assert "is no index of qaip-sandbox" in changes.unsaved
    assert cache.read_bytes() == before


def test_a_cache_that_cannot_be_written_is_told(folder: Path, cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    assert "cannot be written" in start(folder, cache).unsaved


def test_two_at_once_share_a_cache(folder: Path, cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        every = [pool.submit(start, folder, cache) for _ in range(8)]
        assert [future.result().unsaved for future in every] == [""] * 8
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]
    assert start(folder, cache).unchanged == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
def test_a_cache_is_for_its_owner_alone(folder: Path, cache: Path) -> None:
    start(folder, cache)
    assert cache.stat().st_mode & 0o077 == 0
    assert cache.parent.stat().st_mode & 0o077 == 0
