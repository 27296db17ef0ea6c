import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from pydantic import BaseModel, Field

from qaip_sandbox import Sandbox, Status
from qaip_sandbox.page.fields import fields, summary_of

QUESTION = "How long are returns accepted?"
SENTENCE = "Lanternworks accepts returns within 45 days of delivery."


@pytest.fixture
def fresh(docs: Path) -> Iterator[Sandbox]:
    with Sandbox(docs) as running:
        yield running


@pytest.fixture
def control(fresh: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"{fresh.url}/_sandbox", follow_redirects=True, verify=False
    ) as client:
        yield client


def ask(sandbox: Sandbox, question: str = QUESTION, **headers: str) -> httpx.Response:
    body = {"model": "sonar", "messages": [{"role": "user", "content": question}]}
    headers["Authorization"] = f"Bearer {sandbox.env['PERPLEXITY_API_KEY']}"
    return httpx.post(
        f"{sandbox.env['PERPLEXITY_BASE_URL']}/chat/completions",
        json=body,
        headers=headers,
        verify=False,
    )


def test_the_status_tells_what_the_sandbox_holds(fresh: Sandbox, control: httpx.Client) -> None:
    status = control.get("").json()
    assert status["documents"] == len(fresh.documents)
    assert status["chunks"] == len(fresh.chunks)
    assert (status["requests"], status["refused"], status["faults"]) == (0, 0, [])


def test_the_status_has_the_environment_of_the_address_it_was_asked_by(
    fresh: Sandbox, control: httpx.Client
) -> None:
    assert control.get("").json()["environment"] == fresh.env
    port = fresh.url.rpartition(":")[2]
    by_name = httpx.get(f"http://localhost:{port}/_sandbox", verify=False).json()["environment"]
    assert by_name["DIFY_BASE_URL"] == f"http://localhost:{port}/dify/v1"


def test_documents_are_listed_without_their_text(fresh: Sandbox, control: httpx.Client) -> None:
    listed = control.get("/documents").json()
    assert [one["path"] for one in listed] == [document.path for document in fresh.documents]
    assert all("text" not in one for one in listed)


def test_a_document_has_its_text_and_the_places_of_its_chunks(
    fresh: Sandbox, control: httpx.Client
) -> None:
    document = next(d for d in fresh.documents if d.path == "handbook/returns.md")
    found = control.get(f"/documents/{document.id}").json()
    passages = [found["text"][part["start"] : part["end"]] for part in found["parts"]]
    assert passages == [chunk.text for chunk in document.chunks()]


@pytest.mark.parametrize("path", ["/documents/none", "/requests/7", "/nothing"])
def test_what_does_not_exist_is_not_found(control: httpx.Client, path: str) -> None:
    assert control.get(path).status_code == 404


def test_no_file_is_refused_where_all_were_read(control: httpx.Client) -> None:
    assert control.get("/refused").json() == []


def test_a_line_of_the_list_is_short(fresh: Sandbox, control: httpx.Client) -> None:
    ask(fresh, f"{QUESTION} {'Please! ' * 100}", **{"x-sandbox-label": "mine"})
    [line] = control.get("/requests").json()
    assert (line["number"], line["service"], line["status"]) == (1, "perplexity", 200)
    assert (line["state"], line["streamed"], line["label"]) == ("complete", False, "mine")
    assert line["question"].startswith(QUESTION)
    assert line["tokens"] > 5
    assert 0 < line["first_ms"] <= line["ms"] < 5000
    assert len(json.dumps(line)) < 700


def test_the_list_can_begin_later_and_be_cut(fresh: Sandbox, control: httpx.Client) -> None:
    for _ in range(4):
        ask(fresh)

    def numbers(**parameters: int) -> list[int]:
        return [line["number"] for line in control.get("/requests", params=parameters).json()]

    assert numbers() == [1, 2, 3, 4]
    assert numbers(after=2) == [3, 4]
    assert numbers(limit=3) == [2, 3, 4]


def test_a_record_shows_where_its_quotes_stand(fresh: Sandbox, control: httpx.Client) -> None:
    ask(fresh)
    record = control.get("/requests/1").json()
    source = record["said"][0]["sources"][0]
    document = control.get(f"/documents/{source['place']['document']}").json()
    marked = [document["text"][start:end] for start, end in source["place"]["marks"]]
    assert marked == source["quotes"] == [SENTENCE]
    assert record["body"]["messages"][0]["content"] == QUESTION
    assert record["said"][0]["text"].startswith(SENTENCE)


def test_a_quote_is_shown_where_it_stands_with_its_footnotes(tmp_path: Path) -> None:
    (tmp_path / "planets.md").write_text("It is so. Mercury[2] is the smallest planet.[3]\n")
    with Sandbox(tmp_path) as sandbox:
        ask(sandbox, "Which is the smallest planet?")
        control = f"{sandbox.url}/_sandbox"
        record = httpx.get(f"{control}/requests/1", verify=False).json()
        source = record["said"][0]["sources"][0]
        place = source["place"]
        document = httpx.get(f"{control}/documents/{place['document']}", verify=False).json()
    assert source["quotes"] == ["Mercury is the smallest planet."]
    marked = [document["text"][start:end] for start, end in place["marks"]]
    assert marked == ["Mercury[2] is the smallest planet."]


def test_a_source_whose_document_is_gone_has_no_place(tmp_path: Path) -> None:
    file = tmp_path / "beacon.md"
    file.write_text("The beacon glows purple.")
    sandbox = Sandbox(tmp_path)
    with sandbox:
        ask(sandbox, "How does the beacon glow?")
    file.unlink()
    with sandbox:
        record = httpx.get(f"{sandbox.url}/_sandbox/requests/1", verify=False).json()
    [source] = record["said"][0]["sources"]
    assert (source["place"], source["text"]) == (None, "The beacon glows purple.")


def test_records_can_be_dropped(fresh: Sandbox, control: httpx.Client) -> None:
    ask(fresh)
    assert control.delete("/requests").status_code == 204
    assert control.get("/requests").json() == []
    ask(fresh)
    assert control.get("/requests").json()[0]["number"] == 2


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    name = "message"
    for line in lines:
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])
            name = "message"


def test_events_tell_the_state_then_each_request_when_it_begins_and_ends(
    fresh: Sandbox, control: httpx.Client
) -> None:
    with control.stream("GET", "/events") as response:
        told = events(response.iter_lines())
        assert next(told)[0] == "state"
        ask(fresh)
        begun, ended = next(told), next(told)
    assert (begun[0], begun[1]["number"], ended[1]["number"]) == ("message", 1, 1)
    assert (ended[1]["status"], ended[1]["state"]) == (200, "complete")


def test_events_tell_of_faults_and_switches_that_change(
    fresh: Sandbox, control: httpx.Client
) -> None:
    with control.stream("GET", "/events", timeout=5) as response:
        told = events(response.iter_lines())
        assert next(told)[1]["faults"] == []
        fresh.faults.add(Status(code=429))
        assert next(told)[1]["faults"][0]["code"] == 429
        fresh.switch(perplexity={"profile": "retired"})
        assert next(told)[1]["switches"]["perplexity"]["profile"] == "retired"


def test_a_reader_that_leaves_is_forgotten(fresh: Sandbox, control: httpx.Client) -> None:
    readers = fresh._world.journal._readers
    with control.stream("GET", "/events") as response:
        lines = response.iter_lines()  # kept: without a reader, httpx closes the connection
        next(lines)
        assert len(readers) == 1
    deadline = time.monotonic() + 2
    while readers and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not readers


def test_faults_are_queued_listed_and_dropped(fresh: Sandbox, control: httpx.Client) -> None:
    control.post("/faults", json={"kind": "stall"})
    listed = control.post("/faults", json=[{"kind": "page"}, {"kind": "drip", "size": 3}]).json()
    assert [fault["kind"] for fault in listed] == ["stall", "page", "drip"]
    assert control.get("/faults").json() == listed
    assert control.delete("/faults").status_code == 204
    assert len(fresh.faults) == 0


@pytest.mark.parametrize(
    "fault", [{"kind": "none"}, {"kind": "status", "code": 200}, 7, "status; x=1"]
)
def test_a_fault_that_does_not_exist_is_refused(
    fresh: Sandbox, control: httpx.Client, fault: Any
) -> None:
    refusal = control.post("/faults", json=fault)
    assert refusal.status_code == 400
    assert "no such fault" in refusal.json()["error"]
    assert len(fresh.faults) == 0


def test_switches_can_be_set(fresh: Sandbox, control: httpx.Client) -> None:
    now = control.patch("/switches", json={"perplexity": {"profile": "retired"}}).json()
    assert now["perplexity"]["profile"] == "retired"
    assert ask(fresh).status_code == 403


@pytest.mark.parametrize("wanted", [{"nobody": {}}, {"qaip": {"profile": "x"}}, {"qaip": {"x": 1}}])
def test_a_switch_that_does_not_exist_is_refused(control: httpx.Client, wanted: Any) -> None:
    refusal = control.patch("/switches", json=wanted)
    assert (refusal.status_code, bool(refusal.json()["error"])) == (400, True)


def test_the_pace_can_be_set_in_part(fresh: Sandbox, control: httpx.Client) -> None:
    control.patch("/physics", json={"jitter": 0.5})
    control.patch("/physics", json={"seed": 7})
    assert (fresh.physics.jitter, fresh.physics.seed) == (0.5, 7)


@pytest.mark.parametrize("wanted", [{"jitter": 2}, {"speed": 1}, [1], 7])
def test_an_impossible_pace_is_refused(control: httpx.Client, wanted: Any) -> None:
    assert control.patch("/physics", json=wanted).status_code == 400


@pytest.mark.parametrize(
    ("body", "kind", "status"), [("{}", "text/plain", 415), ("{", "application/json", 400)]
)
def test_a_body_that_is_no_json_is_refused(
    control: httpx.Client, body: str, kind: str, status: int
) -> None:
    answer = control.patch("/switches", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status


class _Base(BaseModel):
    """A base.

    Args:
        kind: What it is.
    """

    kind: Literal["one", "two"] = "one"


class _Model(_Base):
    """A model that shows
    every kind of field.

    Args:
        times: How often, 1 or
            more.
        share: A part.
    """

    times: int = Field(1, ge=1)
    share: float | None = Field(None, gt=0, lt=1)
    on: bool = False
    maybe: bool | None = None
    words: str = ""
    either: float | str | None = None
    list_of: list[str] = []


def test_a_form_is_told_from_a_model() -> None:
    told = {field["name"]: field for field in fields(_Model)}
    kinds = {name: (field["kind"], field["optional"]) for name, field in told.items()}
    assert kinds == {
        "kind": ("choice", False),
        "times": ("integer", False),
        "share": ("number", True),
        "on": ("boolean", False),
        "maybe": ("boolean", True),
        "words": ("text", False),
        "either": ("any", True),
        "list_of": ("json", False),
    }
    assert told["kind"]["choices"] == ["one", "two"]
    assert (told["times"]["minimum"], told["share"]["above"], told["share"]["below"]) == (1, 0, 1)


def test_a_form_explains_its_fields_by_the_docstrings() -> None:
    told = {field["name"]: field["help"] for field in fields(_Model)}
    assert (told["kind"], told["times"]) == ("What it is.", "How often, 1 or more.")
    assert (told["share"], told["on"]) == ("A part.", "")
    assert summary_of(_Model) == "A model that shows every kind of field."


def test_every_switch_and_fault_is_explained(control: httpx.Client) -> None:
    status = control.get("").json()
    groups = {
        "physics": status["physics_fields"],
        **{name: kind["fields"] for name, kind in status["fault_kinds"].items()},
        **{name: service["fields"] for name, service in status["services"].items()},
    }
    bare = [(name, f["name"]) for name, group in groups.items() for f in group if not f["help"]]
    assert bare == []
