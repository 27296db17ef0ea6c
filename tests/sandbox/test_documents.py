import os
import socket
from pathlib import Path

import pytest

from qaip_sandbox import Document, Sandbox
from qaip_sandbox.reading import read_folder


def read_one(folder: Path, name: str, content: bytes | str) -> Document:
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)
    (source,) = read_folder(folder).sources
    return source.document


def test_a_chunk_is_a_slice_of_its_document(sandbox: Sandbox) -> None:
    for chunk in sandbox.chunks:
        assert chunk.document.text[chunk.start : chunk.end] == chunk.text


def test_every_chunk_has_its_own_id_and_url(sandbox: Sandbox) -> None:
    assert len({chunk.id for chunk in sandbox.chunks}) == len(sandbox.chunks)
    assert len({chunk.url for chunk in sandbox.chunks}) == len(sandbox.chunks)


def test_ids_and_urls_do_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    found = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        document = read_one(folder, "x y.md", "# One\n\nText.")
        found.append([(chunk.id, chunk.url) for chunk in document.chunks()])
    assert found[0] == found[1]
    assert found[0][0][1] == "https://sandbox.invalid/docs/x%20y.md#one"


def test_headings_part_the_chunks(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.md", "# One\n\nText.\n\nMore.\n\n## Two\n\nLast.")
    assert [(c.heading, c.text) for c in document.chunks()] == [
        ("One", "Text.\n\nMore."),
        ("Two", "Last."),
    ]


def test_a_hash_inside_a_code_fence_is_no_heading(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.md", "# One\n\n```\n# two\n```\n")
    assert [chunk.heading for chunk in document.chunks()] == ["One"]


def test_front_matter_is_no_text(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.md", "---\nauthor: x\n---\n# One\n\nText.")
    assert [chunk.text for chunk in document.chunks()] == ["Text."]


def test_front_matter_may_be_empty(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.md", "---\n---\n# One\n\nText.")
    assert [chunk.text for chunk in document.chunks()] == ["Text."]


def test_text_between_two_rules_at_the_top_is_kept(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.md", "---\n\nurl: none.\n\nLamps are blue.\n\n---\n\nMore.")
    (chunk,) = document.chunks()
    assert "Lamps are blue." in chunk.text


def test_a_heading_without_text_belongs_to_the_next_passage(tmp_path: Path) -> None:
    text = "# Lamps\n\n## Install\n\n### Linux\n\nRun it.\n\n## Prices ##\n\n## C#\n"
    document = read_one(tmp_path, "a.md", text)
    assert [(chunk.heading, chunk.text) for chunk in document.chunks()] == [
        ("Linux", "## Install\n\n### Linux\n\nRun it.\n\n## Prices ##\n\n## C#"),
    ]


@pytest.mark.parametrize(
    ("line", "heading"), [("# C#", "C#"), ("# One ##", "One"), ("#\tOne\t#", "One"), ("# #1", "#1")]
)
def test_only_a_closing_mark_is_cut_off_a_heading(tmp_path: Path, line: str, heading: str) -> None:
    (chunk,) = read_one(tmp_path, "a.md", f"{line}\n\nText.").chunks()
    assert chunk.heading == heading


def test_code_within_a_line_opens_no_fence(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.md", "```x``` is code.\n\n# Two\n\nText.")
    assert [chunk.heading for chunk in document.chunks()] == ["", "Two"]


def test_a_long_run_of_blanks_is_no_passage(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.txt", "One two." + " " * 5000 + "three four.")
    assert [chunk.text for chunk in document.chunks()] == ["One two.", "three four."]


def test_a_numbered_address_is_not_that_of_another_heading(tmp_path: Path) -> None:
    text = "This sentence has about forty characters. " * 60
    document = read_one(tmp_path, "a.md", f"# Example\n\n{text}\n\n# Example 2\n\nOther.")
    urls = [chunk.url for chunk in document.chunks()]
    assert len(urls) > 3
    assert len(set(urls)) == len(urls)


def test_a_document_of_headings_only_is_one_chunk(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.md", "# One\n\n## Two\n")
    assert [chunk.text for chunk in document.chunks()] == ["# One\n\n## Two"]


def test_an_empty_document_has_no_chunks(tmp_path: Path) -> None:
    assert read_one(tmp_path, "a.md", " \n").chunks() == []


def test_a_long_paragraph_is_cut_between_sentences(tmp_path: Path) -> None:
    sentence = "This sentence has about forty characters. "
    chunks = read_one(tmp_path, "a.txt", sentence * 60).chunks()
    assert len(chunks) > 2
    assert all(len(chunk.text) <= 800 and chunk.text.endswith(".") for chunk in chunks)


def test_form_feeds_part_numbered_pages(tmp_path: Path) -> None:
    chunks = read_one(tmp_path, "a.txt", "First page.\fSecond page.").chunks()
    assert [(chunk.page_number, chunk.text) for chunk in chunks] == [
        (1, "First page."),
        (2, "Second page."),
    ]


def test_without_form_feeds_the_page_is_0(tmp_path: Path) -> None:
    (chunk,) = read_one(tmp_path, "a.txt", "Text.").chunks()
    assert chunk.page_number == 0


@pytest.mark.parametrize(
    ("content", "title"), [("# The title #\n\nx", "The title"), ("no heading", "a.md")]
)
def test_the_title_is_the_first_heading_or_the_file_name(
    tmp_path: Path, content: str, title: str
) -> None:
    assert read_one(tmp_path, "a.md", content).title == title


def test_bytes_that_are_not_utf8_are_read_as_the_old_western_ones(tmp_path: Path) -> None:
    assert read_one(tmp_path, "a.txt", b"caf\xe9 au lait").text == "café au lait"


def test_a_byte_order_mark_and_carriage_returns_are_dropped(tmp_path: Path) -> None:
    assert read_one(tmp_path, "a.txt", b"\xef\xbb\xbfone\r\ntwo").text == "one\ntwo"


def test_tags_are_the_folders_above_a_file(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.md").write_text("x")
    assert read_folder(tmp_path).sources[0].document.tags == ("a", "b")


def test_other_hidden_and_oversized_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for name in (".git/x.md", ".hidden.md", "picture.png", "kept.markdown"):
        (tmp_path / name).write_text("x")
    (tmp_path / "large.txt").write_bytes(b"x" * (10 * 1024 * 1024 + 1))
    assert [one.document.path for one in read_folder(tmp_path).sources] == ["kept.markdown"]


def test_a_link_that_leaves_the_folder_is_not_read(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.md").write_text("x")
    (inside / "link.md").symlink_to(tmp_path / "secret.md")
    assert read_folder(inside).sources == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes and sockets")
def test_pipes_and_sockets_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s.md"))
        assert read_folder(tmp_path).sources == []


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError):
        read_folder(tmp_path / "missing")
