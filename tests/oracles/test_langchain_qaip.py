"""Our QAIPRetriever takes the place of that of langchain-qaip 0.1.5: the same calls, side by side.

Both own the import name ``langchain_qaip``, so the published one runs in its own environment.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from langchain_qaip import QAIPRetriever
from qaip_sandbox import Sandbox

pytestmark = pytest.mark.skipif(
    "ORACLES" not in os.environ, reason="make test-oracles installs langchain-qaip 0.1.5"
)

HERE = Path(__file__).parent
QUESTION = "retries, streams, citations and errors"
DATE = 1735639200
CALLS: Mapping[str, Mapping[str, Any]] = {
    "alone": {},
    "limit": {"limit": 2},
    "offset": {"limit": 2, "offset": 1},
    "a page beyond the last": {"offset": 1000},
    "file types": {"file_types": ["md"]},
    "several file types": {"file_types": ["md", "txt"], "limit": 3},
    "source types": {"source_types": ["local_file"]},
    "source types of nothing here": {"source_types": ["crawl"]},
    "dates": {"date_from": DATE, "date_to": DATE + 10**9},
    "dates of nothing here": {"date_to": DATE},
    "domains": {"domains": ["streams"]},
    "an unknown tag": {"tag_ids": ["00000000-0000-4000-8000-000000000000"]},
    "everything": {
        "source_types": ["local_file"],
        "file_types": ["md"],
        "date_from": DATE,
        "domains": ["streams"],
        "limit": 5,
        "offset": 0,
    },
}
THEIRS = """
import json, sys
import langchain_qaip.retriever as published
from importlib.metadata import version
url, key, calls = json.load(sys.stdin)
published.QAIP_SEARCH_API_URL = url + "/search"
retriever = published.QAIPRetriever(api_key=key)
found = {
    name: [[d.page_content, d.metadata] for d in retriever.invoke(call.pop("query"), **call)]
    for name, call in calls.items()
}
json.dump([version("langchain-qaip"), found], sys.stdout)
"""


@pytest.fixture(scope="module", params=[False, True], ids=["full", "sparse"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(HERE.parents[1] / "docs", qaip={"sparse": request.param}) as running:
        yield running


@pytest.fixture(scope="module")
def theirs(sandbox: Sandbox) -> Mapping[str, Any]:
    """What the published retriever finds, by the name of the call."""
    python = Path(os.environ["ORACLES"]).resolve() / "langchain" / "bin" / "python"
    calls = {name: {"query": QUESTION, **call} for name, call in CALLS.items()}
    asked = [sandbox.env["QAIP_BASE_URL"], sandbox.env["QAIP_API_KEY"], calls]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    run = subprocess.run(
        [python, "-c", THEIRS],
        check=False,
        cwd=HERE,  # where nothing else has its name
        env={**kept, "NO_PROXY": "127.0.0.1"},
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    version, found = json.loads(run.stdout)
    assert version == "0.1.5"
    return dict(found)


def shown(text: str, metadata: Mapping[str, Any], names: Mapping[str, Any]) -> Any:
    return text, {name: metadata[name] for name in names}


@pytest.mark.parametrize("name", CALLS)
async def test_the_same_call_gives_the_same_documents(
    name: str, sandbox: Sandbox, theirs: Mapping[str, Any]
) -> None:
    at = {"api_key": sandbox.env["QAIP_API_KEY"], "base_url": sandbox.env["QAIP_BASE_URL"]}
    async with QAIPRetriever(**at) as ours:
        found = ours.invoke(QUESTION, **CALLS[name])
        assert found == await ours.ainvoke(QUESTION, **CALLS[name])
    known = [
        shown(d.page_content, d.metadata, m) for d, (_, m) in zip(found, theirs[name], strict=True)
    ]
    assert known == [(text, metadata) for text, metadata in theirs[name]]
    assert [d.id for d in found] == [metadata["id"] for _, metadata in theirs[name]]


def test_the_calls_find_something(theirs: Mapping[str, Any]) -> None:
    assert len(theirs["alone"]) > 2
    assert theirs["everything"]
    assert not theirs["source types of nothing here"]
