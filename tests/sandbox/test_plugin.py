"""The pytest plugin, in test suites of its users."""

import subprocess
import sys
from pathlib import Path

import httpcore  # noqa: F401 - httpx imports it late, and must not see two of it
import pytest

import qaip_sandbox.sandbox
from langchain_qaip import ChatPerplexity  # noqa: F401 - else suites below would import it anew

pytest_plugins = ["pytester"]

PLUGIN = ("-p", "qaip_sandbox.pytest_plugin", "-p", "no:cacheprovider")


@pytest.fixture(autouse=True)
def _as_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def run(pytester: pytest.Pytester, code: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(code)
    return pytester.runpytest_inprocess(*PLUGIN, *options)


def test_every_class_finds_the_sandbox_without_arguments(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        from langchain_qaip import ChatDify, ChatQaip

        def test_an_answer(qaip_sandbox):
            with ChatQaip() as chat:
                answer = chat.invoke("How long does the warranty on a lamp last?")
            assert "2 years" in answer.text
            assert [record.service for record in qaip_sandbox.requests] == ["qaip"]

        def test_nothing_of_it_is_left(qaip_sandbox):
            assert qaip_sandbox.requests == []
            with ChatDify() as chat:
                assert "30 days" in chat.invoke("When can a lamp be returned?").text
        """,
    )
    result.assert_outcomes(passed=2)


def test_each_test_begins_anew(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import httpx
        import pytest
        from qaip_sandbox import Physics, Status

        def changed(sandbox):
            switches = httpx.get(f"{sandbox.url}/_sandbox").json()["services"]["qaip"]["switches"]
            return (
                len(sandbox.faults), sandbox.physics.first_token, switches["profile"],
                len(sandbox.requests), len(sandbox._world.memory),
            )

        @pytest.mark.qaip_sandbox(qaip={"profile": "seed"}, first_token=0.01)
        def test_one(qaip_sandbox):
            assert changed(qaip_sandbox) == (0, 0.01, "seed", 0, 0)
            qaip_sandbox.faults.add(Status())
            qaip_sandbox.physics = Physics(first_token=3)
            qaip_sandbox.switch(qaip={"profile": "later"})
            qaip_sandbox._world.memory["a"] = 1

        def test_other(qaip_sandbox):
            assert changed(qaip_sandbox) == (0, 0.0, "later", 0, 0)

        def test_one_sandbox_serves_them_all(_qaip_sandboxes):
            assert len(_qaip_sandboxes._running) == 1
        """,
    )
    result.assert_outcomes(passed=3)


def test_the_folder_is_the_user_s(pytester: pytest.Pytester) -> None:
    for name in ("ini", "marked", "overridden"):
        pytester.mkdir(name).joinpath("a.md").write_text(f"The word is {name}.", "utf-8")
    pytester.makeini("[pytest]\nqaip_sandbox_folder = ini\n")
    result = run(
        pytester,
        """
        from pathlib import Path
        import pytest

        def texts(sandbox):
            return [document.text for document in sandbox.documents]

        def test_ini(qaip_sandbox):
            assert texts(qaip_sandbox) == ["The word is ini."]

        @pytest.mark.qaip_sandbox(folder="marked")
        class TestMarked:
            def test_it(self, qaip_sandbox):
                assert texts(qaip_sandbox) == ["The word is marked."]

            @pytest.mark.qaip_sandbox(folder="ini", seed=2)
            def test_the_nearest_marker_counts(self, qaip_sandbox):
                assert texts(qaip_sandbox) == ["The word is ini."]

        class TestOverridden:
            @pytest.fixture
            def qaip_sandbox_folder(self):
                return Path("overridden")

            def test_it(self, qaip_sandbox):
                assert texts(qaip_sandbox) == ["The word is overridden."]
        """,
        "--strict-markers",
    )
    result.assert_outcomes(passed=4)


def test_the_judge_fails_a_test_and_says_why(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import httpx
        import pytest
        from qaip_sandbox import Status

        def hammer(sandbox):
            sandbox.faults.add(Status(code=503))
            headers = {"x-api-key": sandbox.env["QAIP_API_KEY"]}
            for _ in range(2):
                httpx.get(sandbox.env["QAIP_BASE_URL"] + "/tags", headers=headers, verify=False)

        @pytest.mark.qaip_sandbox(judge={"backoff": 5})
        def test_bad(qaip_sandbox, qaip_sandbox_judge):
            hammer(qaip_sandbox)

        @pytest.mark.qaip_sandbox(judge={"backoff": 0})
        def test_good(qaip_sandbox, qaip_sandbox_judge):
            hammer(qaip_sandbox)
        """,
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["1 fault: 2 requests in 0 calls", "FAULT  hammered: sent again *"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_folder_of_one_test_has_a_sandbox_of_its_own(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import threading
        import pytest

        BEFORE = set(threading.enumerate())  # of the tests around this one

        class TestWritten:
            @pytest.fixture
            def qaip_sandbox_folder(self, tmp_path):
                tmp_path.joinpath("a.md").write_text("The word is tmp.", "utf-8")
                return tmp_path

            @pytest.mark.parametrize("turn", range(3))
            def test_it(self, qaip_sandbox, turn):
                (document,) = qaip_sandbox.documents
                assert document.text == "The word is tmp."

        def test_none_of_them_still_runs(_qaip_sandboxes):
            assert _qaip_sandboxes._running == {}
            left = set(threading.enumerate()) - BEFORE
            assert "qaip-sandbox" not in {thread.name for thread in left}
        """,
    )
    result.assert_outcomes(passed=4)


def test_a_sandbox_that_a_test_has_stopped_runs_for_the_next(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        import httpx

        def alive(sandbox):
            url = sandbox.env["DIFY_BASE_URL"] + "/info"
            return httpx.get(url, verify=False).status_code == 401

        def test_one(qaip_sandbox):
            assert alive(qaip_sandbox)
            qaip_sandbox.stop()

        def test_other(qaip_sandbox):
            assert alive(qaip_sandbox)
        """,
    )
    result.assert_outcomes(passed=2)


def test_documents_that_were_written_since_are_known(pytester: pytest.Pytester) -> None:
    pytester.mkdir("texts").joinpath("a.md").write_text("The word is one.", "utf-8")
    result = run(
        pytester,
        """
        from pathlib import Path
        import pytest

        pytestmark = pytest.mark.qaip_sandbox(folder="texts")

        def test_one(qaip_sandbox):
            assert len(qaip_sandbox.documents) == 1
            Path("texts/b.md").write_text("The word is two.", "utf-8")

        def test_other(qaip_sandbox):
            assert len(qaip_sandbox.documents) == 2
        """,
    )
    result.assert_outcomes(passed=2)


def test_one_sandbox_that_fails_to_stop_keeps_none_running(pytester: pytest.Pytester) -> None:
    for name in ("a", "b", "c"):
        pytester.mkdir(name)
    result = run(
        pytester,
        """
        import threading
        import pytest

        BEFORE = set(threading.enumerate())  # of the tests around this one

        @pytest.fixture(scope="session", autouse=True)
        def _at_the_end():
            yield
            left = set(threading.enumerate()) - BEFORE
            assert "qaip-sandbox" not in {thread.name for thread in left}

        @pytest.mark.parametrize("folder", [
            pytest.param(name, marks=pytest.mark.qaip_sandbox(folder=name)) for name in "abc"
        ])
        def test_it(qaip_sandbox, folder):
            if folder == "b":
                qaip_sandbox._failure = ValueError("planted")
        """,
    )
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*RuntimeError: the sandbox failed"])
    result.stdout.no_fnmatch_line("*AssertionError*")


@pytest.mark.parametrize("before", ["", "example.org", "*"])
def test_a_proxy_of_the_user_s_is_not_asked(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", before)
    monkeypatch.delenv("no_proxy", raising=False)
    result = run(
        pytester,
        f"""
        import os
        import urllib.request
        import httpx

        def test_it(qaip_sandbox):
            url = qaip_sandbox.url + "/_sandbox"
            assert httpx.get(url, verify=False).status_code == 200
            with urllib.request.urlopen(url) as answer:
                assert answer.status == 200
            assert os.environ["no_proxy"].startswith({before!r})

        def test_a_setting_of_the_user_s_is_back():
            assert os.environ["NO_PROXY"] == {before!r}
        """,
    )
    result.assert_outcomes(passed=2)


def test_async_tests_have_it_too(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
        from langchain_qaip import ChatPerplexity

        async def test_a_stream(qaip_sandbox, qaip_sandbox_judge):
            async with ChatPerplexity(model="sonar") as chat, qaip_sandbox_judge.call() as call:
                parts = [part.text async for part in chat.astream("When is the shop open?")]
                call.returned("".join(parts))
            assert "9 to 18" in "".join(parts)
        """,
        "-p",
        "pytest_asyncio.plugin",
        "-o",
        "asyncio_mode=auto",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
    )
    result.assert_outcomes(passed=1)


def test_a_worker_has_a_sandbox_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import httpx
        import pytest

        @pytest.mark.parametrize("turn", range(4))
        def test_it(qaip_sandbox, turn):
            httpx.get(f"{qaip_sandbox.env['DIFY_BASE_URL']}/info", verify=False)
            assert len(qaip_sandbox.requests) == 1
        """
    )
    result = pytester.runpytest_subprocess(*PLUGIN, "-p", "xdist.plugin", "-n", "1")
    result.assert_outcomes(passed=4)


def test_a_suite_that_does_not_ask_for_it_pays_nothing() -> None:
    code = "import sys, qaip_sandbox.pytest_plugin; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    ).stdout.split()
    assert not {"starlette", "uvicorn", "pydantic", "httpx", "anyio"} & set(loaded)


def test_without_the_extra_it_says_what_to_install(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys\nsys.modules['starlette'] = None\n")
    code = "def test_it(qaip_sandbox):\n    pass\n\ndef test_other():\n    pass\n"
    pytester.makepyfile(code)
    result = pytester.runpytest_subprocess(*PLUGIN)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ['*starlette is missing: pip install "qaip-integrations?sandbox?"*']
    )


@pytest.mark.parametrize(
    ("marker", "why"),
    [
        ("'docs'", "takes keywords only"),
        ("qaip={'profile': 'x'}", "QaipSwitches: profile"),
        ("tokens_per_second=-1", "tokens_per_second"),
        ("speed=1", "unexpected keyword argument 'speed'"),
    ],
)
def test_misuse_is_told(pytester: pytest.Pytester, marker: str, why: str) -> None:
    code = (
        f"import pytest\n\n@pytest.mark.qaip_sandbox({marker})\ndef test_it(qaip_sandbox): pass\n"
    )
    result = run(pytester, code)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{why}*"])


def test_it_is_typed() -> None:
    folder = Path(qaip_sandbox.sandbox.__file__).parent
    assert (folder / "py.typed").exists()
