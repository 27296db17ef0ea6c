import importlib.util
import json
import os
import re
import sys
import threading
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from qaip_sandbox import Document
from qaip_sandbox.cancelling import Cancelled
from qaip_sandbox.readers import READERS, Content
from qaip_sandbox.reading import Reading, Refused, read_folder

PDF = importlib.util.find_spec("pypdf")
OFFICE = importlib.util.find_spec("markitdown")
needs_pdf = pytest.mark.skipif(not PDF, reason="needs the extra sandbox-pdf")
needs_office = pytest.mark.skipif(not OFFICE, reason="needs the extra sandbox-office")


def read(folder: Path, name: str, content: bytes | str) -> Reading:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_folder(folder)


def read_one(folder: Path, name: str, content: bytes | str) -> Document:
    (source,) = read(folder, name, content).sources
    return source.document


def refused(folder: Path, name: str, content: bytes | str) -> str:
    reading = read(folder, name, content)
    (one,) = reading.refused
    assert (reading.sources, one.path) == ([], name)
    return one.reason


def told(document: Document) -> list[tuple[str, str]]:
    return [(chunk.heading, chunk.text) for chunk in document.chunks()]


def pdf(*pages: str, encrypted: bool = False) -> bytes:
    """Write a PDF by hand: each page shows one line."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, text in enumerate(pages):
        show = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET" if text else ""
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {5 + 2 * number} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>",
            f"<< /Length {len(show)} >>\nstream\n{show}\nendstream",
        ]
    body = "%PDF-1.4\n"
    places = []
    for number, thing in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{thing}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    locked = "/Encrypt << /Filter /Other /V 9 >>" if encrypted else ""
    return (
        f"{body}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        f"trailer << /Size {len(objects) + 1} /Root 1 0 R {locked} >>\n"
        f"startxref\n{len(body)}\n%%EOF\n"
    ).encode()


def docx(text: str) -> bytes:
    from io import BytesIO

    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    relations = "application/vnd.openxmlformats-package.relationships+xml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        f'<Default Extension="rels" ContentType="{relations}"/>'
        f'<Override PartName="/word/document.xml" ContentType="{main}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r" Type="{office}" Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{word}"><w:body><w:p><w:r><w:t>{text}</w:t>'
        "</w:r></w:p></w:body></w:document>",
    }
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, xml in parts.items():
            archive.writestr(name, xml)
    return file.getvalue()


PAGE = """<!doctype html><html><head><title>Lamps &amp; more</title>
<link rel="canonical" href="https://example.org/lamps"><style>p { color: red }</style></head>
<body><nav>Home</nav><script>let x = 1;</script><h1>Lamps</h1>
<p>The <b>Meridian</b> lamp draws <a href="/w">9 watts</a>.</p>
<ul><li>It is grey.</li><li>It is small.</li></ul>
<h2>Prices</h2><table><tr><th>Lamp</th><th>Euros</th></tr><tr><td>Meridian</td><td>40</td></tr>
</table><footer>Imprint</footer></body></html>"""


def test_a_page_is_read_as_headings_paragraphs_lists_and_tables(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.html", PAGE)
    assert told(document) == [
        ("Lamps", "The Meridian lamp draws 9 watts.\n\n- It is grey.\n- It is small."),
        ("Prices", "| Lamp | Euros |\n| --- | --- |\n| Meridian | 40 |"),
    ]
    assert (document.title, document.file_type) == ("Lamps & more", "html")


def test_a_page_lives_at_its_canonical_address(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.html", PAGE)
    urls = [chunk.url for chunk in document.chunks()]
    assert urls == ["https://example.org/lamps#lamps", "https://example.org/lamps#prices"]


def test_a_page_in_another_encoding_is_read(tmp_path: Path) -> None:
    page = "<meta charset=shift_jis><p>保証は2年です。</p>".encode("shift_jis")
    assert told(read_one(tmp_path, "a.htm", page)) == [("", "保証は2年です。")]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_row_of_a_table_is_a_passage_with_its_headers(tmp_path: Path, separator: str) -> None:
    rows = [["lamp", "watts", "note"], ["Meridian", "9", ""], ["Solstice", "4", "sold out"]]
    text = "\r\n".join(separator.join(row) for row in rows)
    assert [text for _, text in told(read_one(tmp_path, "a.csv", text))] == [
        "lamp: Meridian; watts: 9",
        "lamp: Solstice; watts: 4; note: sold out",
    ]


def test_a_cell_may_hold_quotes_and_line_ends(tmp_path: Path) -> None:
    (chunk,) = read_one(tmp_path, "a.tsv", 'name\ttext\nA\t"Two ""fine""\nlines"').chunks()
    assert chunk.text == 'name: A; text: Two "fine"\nlines'


def test_a_row_with_more_cells_than_headers_loses_none(tmp_path: Path) -> None:
    assert told(read_one(tmp_path, "a.csv", "a,b\n1,2,3")) == [("", "a: 1; b: 2; 3")]


RECORDS: list[Any] = [
    {"title": "Returns", "text": "Send it back.", "url": "https://example.org/r", "rank": 3},
    {"name": "Refunds", "body": "In 5 days.", "tags": ["a", "b"], "none": None},
    "A bare string.",
]
READ = [
    ("Returns", "Send it back.\n\nrank: 3"),
    ("Refunds", 'In 5 days.\n\ntags: ["a", "b"]'),
    ("", "A bare string."),
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", "\n".join(json.dumps(record) for record in RECORDS)),
        ("a.ndjson", "\n\n".join(json.dumps(record) for record in RECORDS) + "\n"),
        ("a.json", json.dumps(RECORDS, indent=1)),
    ],
)
def test_a_record_is_a_passage_with_its_title_and_address(
    tmp_path: Path, name: str, text: str
) -> None:
    document = read_one(tmp_path, name, text)
    assert told(document) == READ
    assert document.chunks()[0].url == "https://example.org/r"
    assert document.chunks()[1].url.startswith("https://sandbox.invalid/docs/a.")


def test_a_long_record_is_cut_and_each_part_has_an_address(tmp_path: Path) -> None:
    record = {"url": "https://example.org/r", "text": "This is a sentence of a record. " * 60}
    urls = [chunk.url for chunk in read_one(tmp_path, "a.jsonl", json.dumps(record)).chunks()]
    assert urls == ["https://example.org/r", "https://example.org/r#2", "https://example.org/r#3"]


def test_every_chunk_of_every_kind_is_a_slice_of_its_document(tmp_path: Path) -> None:
    for name, text in {"a.html": PAGE, "b.csv": "a\n1\n2", "c.json": json.dumps(RECORDS)}.items():
        (tmp_path / name).write_text(text)
    for source in read_folder(tmp_path).sources:
        document = source.document
        assert document.chunks()
        assert all(document.text[c.start : c.end] == c.text for c in document.chunks())


def test_front_matter_names_a_document_and_its_address(tmp_path: Path) -> None:
    text = '---\ntitle: "The lamps"\nurl: https://example.org/l\n---\n# One\n\nText.'
    document = read_one(tmp_path, "a.md", text)
    assert (document.title, document.url) == ("The lamps", "https://example.org/l")
    assert document.chunks()[0].url == "https://example.org/l#one"


def test_only_web_addresses_are_taken_over(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.md", "---\nurl: javascript:alert(1)\n---\nText.")
    assert document.url == "https://sandbox.invalid/docs/a.md"


def test_underlined_lines_are_headings(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.rst", "Lamps\n=====\n\nGrey.\n\nPrices\n------\n\nHigh.")
    assert told(document) == [("Lamps", "Grey."), ("Prices", "High.")]


def test_utf16_is_read(tmp_path: Path) -> None:
    assert read_one(tmp_path, "a.txt", "保証は2年です。".encode("utf-16")).text == "保証は2年です。"


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    chunks = read_one(tmp_path, "a.txt", "word " * 5000).chunks()
    assert len(chunks) > 10
    assert all(len(chunk.text) <= 1600 for chunk in chunks)


@needs_pdf
def test_a_pdf_has_pages(tmp_path: Path) -> None:
    document = read_one(tmp_path, "a.pdf", pdf("The first page.", "", "The third page."))
    assert [(chunk.page_number, chunk.text) for chunk in document.chunks()] == [
        (1, "The first page."),
        (3, "The third page."),
    ]


@needs_pdf
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.4 and no more", "a broken PDF"),
        (pdf(""), "a PDF without text"),
        (pdf("Text.", encrypted=True), "PDF"),
    ],
)
def test_a_pdf_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    assert reason in refused(tmp_path, "a.pdf", content)


@needs_office
def test_an_office_file_is_read(tmp_path: Path) -> None:
    assert told(read_one(tmp_path, "a.docx", docx("The lamp is grey."))) == [
        ("", "The lamp is grey.")
    ]


@needs_office
def test_a_broken_office_file_is_refused(tmp_path: Path) -> None:
    reason = refused(tmp_path, "a.docx", b"PK nothing")
    assert reason == "a broken .docx file, or one with a password"


@needs_office
def test_an_office_file_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    assert "unpacks to" in refused(tmp_path, "a.docx", docx("<w:p/>" * 500_000))


@needs_pdf
def test_a_pdf_page_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    packed = zlib.compress(b"BT /F1 12 Tf (aaaaaaaaaaaaaaaa) Tj ET\n" * 150_000).decode("latin-1")
    stream = f"<< /Length {len(packed)} /Filter /FlateDecode >>\nstream\n{packed}"
    data = re.sub(r"<< /Length \d+ >>\nstream\n.*", lambda _: stream, pdf("x").decode())
    reason = refused(tmp_path, "a.pdf", data.encode("latin-1"))
    assert "page 1 unpacks to too much" in reason


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("a.pdf", "pypdf", "[sandbox-pdf]"), ("a.xlsx", "markitdown", "[sandbox-office]")],
)
def test_a_missing_extra_is_named(
    tmp_path: Path, name: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert extra in refused(tmp_path, name, b"x")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"\x00\x01\x02", "binary content"),
        ("a.json", "{", "not JSON"),
        ("a.jsonl", '{"a": 1}\n{', "line 2: not JSON"),
        ("a.json", "[" * 100_000, "not JSON"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(
    tmp_path: Path, name: str, content: bytes | str, reason: str
) -> None:
    assert reason in refused(tmp_path, name, content)


HALF = (
    b'{"text": "A broken emoji \\ud83d in a post.", "title": "b\\ud83d", "url": "http://x/\\ud83d"}'
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", HALF),
        ("a.json", HALF),
        ("a.html", b"<meta charset=undefined><p>A broken charset."),
        ("a.html", b"<meta charset=utf-7><p>A broken +2AA- charset."),
        ("a.html", b"<meta charset=unicode_escape><p>A broken \\ud83d charset."),
        ("a.html", b"<meta charset=idna><p>A broken charset."),
        ("a.html", b"<meta charset=rot13><p>A broken charset."),
    ],
)
def test_an_odd_file_stops_neither_itself_nor_others(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / "good.md").write_text("Fine.")
    sources = read(tmp_path, name, content).sources
    assert [source.document.path for source in sources] == [name, "good.md"]
    (chunk,) = sources[0].document.chunks()
    (chunk.text + chunk.heading + chunk.url + chunk.document.title).encode()
    assert chunk.text.startswith("A broken")


def test_whatever_breaks_a_reader_is_told_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(data: bytes) -> Content:
        raise RuntimeError("half \ud83d")

    monkeypatch.setattr("qaip_sandbox.reading.READERS", {**READERS, ".rst": broken})
    (tmp_path / "good.md").write_text("Fine.")
    reading = read(tmp_path, "a.rst", "x")
    assert [source.document.path for source in reading.sources] == ["good.md"]
    assert reading.refused == [Refused("a.rst", "cannot be read: RuntimeError: half \ufffd")]


def test_a_page_that_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    assert "nested too deep" in refused(tmp_path, "a.html", "<p>One</p>" + "<div>" * 3000 + "Two")


@pytest.mark.parametrize(
    "text",
    [
        "# a" + " " * 3000 + "b\n\ntext",
        "`" * 300_000,
        "---\ntitle: a" + " " * 30_000 + "b\n---\ntext",
        "---\n" + "a" * 300_000 + "\n---\ntext",
        "#" * 300_000,
        "a\n" + "=" * 300_000 + "x",
        "```\n~~~\n" * 30_000,
    ],
    ids=lambda text: repr(text[:9]),
)
def test_long_runs_of_one_character_take_no_time(tmp_path: Path, text: str) -> None:
    begin = time.process_time()
    read_one(tmp_path, "a.md", text)
    assert time.process_time() - begin < 2


def test_a_field_is_told_though_it_equals_the_title(tmp_path: Path) -> None:
    record = {"title": "3", "text": "Boxes", "count": 3, "unit": "Boxes"}
    assert told(read_one(tmp_path, "a.json", json.dumps(record))) == [
        ("3", "Boxes\n\ncount: 3\nunit: Boxes")
    ]


def test_a_field_that_is_no_web_address_is_told(tmp_path: Path) -> None:
    record = {"text": "Boxes", "source": "the shelf", "link": "https://example.org/b"}
    (chunk,) = read_one(tmp_path, "a.json", json.dumps(record)).chunks()
    assert (chunk.text, chunk.url) == ("Boxes\n\nsource: the shelf", "https://example.org/b")


def test_a_reading_can_be_given_up(tmp_path: Path) -> None:
    for name in ("a.md", "b.md", "c.md"):
        (tmp_path / name).write_text("x")
    given_up = threading.Event()
    seen: list[str] = []

    def progress(done: int, total: int, path: str) -> None:
        seen.append(path)
        given_up.set()

    with pytest.raises(Cancelled):
        read_folder(tmp_path, progress=progress, cancelled=given_up)
    assert seen == ["a.md"]


def test_a_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 101)
    assert read_folder(tmp_path, max_bytes=100).refused == [
        Refused("a.txt", "larger than 100 bytes")
    ]


def test_hidden_files_and_other_kinds_are_counted(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for name in (".git/x.md", ".x.md", "a.png", "b.png", "c"):
        (tmp_path / name).write_text("x")
    assert read_folder(tmp_path).refused == [
        Refused(".git", "hidden", 2),
        Refused("a.png", "not a kind of file that is read (.png)", 2),
        Refused("c", "not a kind of file that is read (no suffix)", 1),
    ]


def test_links_are_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.md").write_text("x")
    (inside / "a.md").symlink_to(tmp_path / "secret.md")
    (inside / "b").symlink_to(tmp_path)
    (inside / "c.md").symlink_to("missing.md")
    assert [(one.path, one.reason) for one in read_folder(inside).refused] == [
        ("a.md", "a link that leaves the folder"),
        ("b", "a link to a folder"),
        ("c.md", "cannot be read: No such file or directory"),
    ]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "a.md").chmod(0)
    assert "Permission denied" in read_folder(tmp_path).refused[0].reason


def test_progress_names_every_file_once(tmp_path: Path) -> None:
    for name in ("a.md", "b.md", "c.json"):
        (tmp_path / name).write_text("x")
    seen: list[tuple[int, int, str]] = []
    read_folder(tmp_path, progress=lambda *step: seen.append(step))
    assert seen == [(1, 3, "a.md"), (2, 3, "b.md"), (3, 3, "c.json")]


OLD = {
    "Latin letters": ("Das Café öffnet um zehn.".encode("cp1252"), "Das Café öffnet um zehn."),
    "UTF-8 with an odd byte": (
        "Das Café öffnet".encode() + b" um \xff zehn.",
        "Das Café öffnet um \ufffd zehn.",
    ),
}


@pytest.mark.parametrize(("data", "text"), OLD.values(), ids=OLD)
def test_a_text_of_the_old_western_kind_is_read(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    (source,) = read_folder(tmp_path).sources
    assert source.document.text == text
