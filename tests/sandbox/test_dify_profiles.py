"""What Dify's releases do differently, and how they refuse."""

import json
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from sandbox.dify_asking import complete, end_of, streamed

VERSIONS = {
    "0.15": "0.15.3",
    "1.8": "1.8.0",
    "1.9": "1.9.0",
    "1.16": "1.16.0",
    "cloud": "1.16.0",
}


def under(switches: Any) -> dict[str, str]:
    return {"x-sandbox-switches": json.dumps(switches)}


@pytest.mark.parametrize(("profile", "version"), VERSIONS.items())
def test_every_response_of_a_release_tells_its_version(
    dify: httpx.Client, profile: str, version: str
) -> None:
    switches = {"profile": profile}
    for response in (
        complete(dify, switches),
        complete(dify, switches, response_mode="streaming"),
        complete(dify, switches, user=""),
        dify.get("/info", headers=under(switches)),
    ):
        assert response.headers["x-version"] == version


@pytest.mark.parametrize("profile", VERSIONS)
def test_whole_and_streamed_answers_of_a_release_agree(dify: httpx.Client, profile: str) -> None:
    whole = complete(dify, {"profile": profile}).json()
    events = streamed(dify, {"profile": profile})
    assert "".join(event.get("answer", "") for event in events) == whole["answer"]
    usages = (whole["metadata"]["usage"], end_of(events)["metadata"]["usage"])
    assert usages[0]["total_tokens"] == usages[1]["total_tokens"] > 0
    sources = (m["metadata"]["retriever_resources"] for m in (whole, end_of(events)))
    assert len({json.dumps([s["segment_id"] for s in found]) for found in sources}) == 1


def test_the_newest_streams_have_lists_and_no_nulls_and_its_whole_answers_have(
    dify: httpx.Client,
) -> None:
    (first, *_, end) = streamed(dify, {"profile": "1.16"})
    assert first["from_variable_selector"] == end["files"] == []
    assert end["metadata"]["reasoning"] == {}
    assert "null" not in json.dumps(end)
    response = complete(dify, {"profile": "1.16"})
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.json()["metadata"]["annotation_reply"] is None
    assert response.json()["metadata"]["usage"]["time_to_first_token"] is None


@pytest.mark.parametrize(
    ("profile", "status"),
    [("0.15", 400), ("1.8", 400), ("1.9", 400), ("1.16", 200), ("cloud", 200)],
)
def test_a_null_response_mode_is_blocking_only_where_a_model_reads_it(
    dify: httpx.Client, profile: str, status: int
) -> None:
    assert complete(dify, {"profile": profile}, response_mode=None).status_code == status


MISSING = {
    "0.15": {
        "code": "invalid_param",
        "message": "Missing required parameter in the JSON body",
        "params": "inputs",
    },
    "1.9": {
        "errors": {
            "inputs": "Input parameters for completion Missing required parameter in the JSON body"
        },
        "message": "Input payload validation failed",
    },
}


@pytest.mark.parametrize(("profile", "body"), MISSING.items())
def test_a_missing_field_is_told_in_a_release_s_own_shape(
    dify: httpx.Client, profile: str, body: Any
) -> None:
    response = dify.post(
        "/completion-messages", json={"user": "u"}, headers=under({"profile": profile})
    )
    assert (response.status_code, response.json()) == (400, body)


def test_newer_releases_tell_it_in_the_words_of_their_model(dify: httpx.Client) -> None:
    headers = under({"profile": "1.16"})
    body = dify.post("/completion-messages", json={"user": "u"}, headers=headers).json()
    assert (body["code"], body["status"]) == ("invalid_param", 400)
    assert body["message"].startswith(
        "1 validation error for CompletionRequestPayload\ninputs\n  Field required [type=missing, "
    )


def test_a_crash_of_the_oldest_release_has_no_status(dify: httpx.Client) -> None:
    response = complete(dify, {"profile": "0.15"}, user="u" * 256)
    assert response.status_code == 500
    assert response.json() == {"message": "Internal Server Error", "code": "unknown"}


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "Authorization header must be provided and start with 'Bearer'"),
        ("Bearer", "Authorization header must be provided and start with 'Bearer'"),
        ("Basic abc", "Authorization scheme must be 'Bearer'"),
        ("Bearer abc", "Access token is invalid"),
    ],
)
@pytest.mark.parametrize("profile", ["0.15", "1.9"])
def test_a_key_is_refused_in_the_service_s_words(
    sandbox: Sandbox, profile: str, key: str, message: str
) -> None:
    headers = {**under({"profile": profile, "api": "disabled"}), "authorization": key}
    response = httpx.get(sandbox.env["DIFY_BASE_URL"] + "/info", headers=headers, verify=False)
    assert (response.status_code, response.json()["message"]) == (401, message)
    assert ("www-authenticate" in response.headers) == (profile != "0.15")


def test_checks_come_in_the_service_s_order(dify: httpx.Client) -> None:
    """Each call has every fault that a later check would find."""
    switches = {"app": "chat"}
    steps: list[tuple[httpx.Response, str]] = [
        (dify.post("/completion-messages", content=b"x", headers=under({"api": "disabled"})),
         "forbidden"),
        (dify.post("/completion-messages", content=b"x", headers=under(switches)),
         "unsupported_media_type"),
        (complete(dify, switches, user="", inputs=None, response_mode=5), "invalid_param"),
        (complete(dify, switches, inputs=None, response_mode=5), "app_unavailable"),
    ]  # fmt: skip
    assert [(r.json()["code"]) for r, _ in steps] == [code for _, code in steps]
    assert "errors" in complete(dify, inputs=None, files=["x"], response_mode=5).json()
    body = complete(dify, {"vision": True}, inputs=None, files=[{}]).json()
    assert body["message"] == "No matching enum found for value 'None'"


@pytest.mark.parametrize(("profile", "status"), [("0.15", 200), ("1.9", 404)])
def test_the_base_url_greets_everybody_or_is_a_page(
    sandbox: Sandbox, profile: str, status: int
) -> None:
    headers = under({"profile": profile})
    response = httpx.get(sandbox.env["DIFY_BASE_URL"] + "/", headers=headers, verify=False)
    assert response.status_code == status
    assert response.text.startswith('{"welcome": ' if status == 200 else "<!doctype html>")


@pytest.mark.parametrize(
    ("profile", "code", "starts", "kind"),
    [
        ("1.9", 429, '{"code": "too_many_requests", "message": "Too many', "application/json"),
        ("1.9", 500, '{"code": "internal_server_error"', "application/json"),
        ("1.9", 413, '{"code": "request_entity_too_large"', "application/json"),
        ("1.9", 408, '{"code": "request_timeout"', "application/json"),
        ("1.9", 502, "<!doctype html>", "text/html; charset=utf-8"),
        ("1.9", 504, "<!doctype html>", "text/html; charset=utf-8"),
        ("cloud", 429, "error code: 1015", "text/plain; charset=UTF-8"),
        ("cloud", 504, "error code: 504", "text/plain; charset=UTF-8"),
        ("cloud", 500, '{"code": "internal_server_error"', "application/json"),
        ("1.9", 401, '{"code": "unauthorized", "message": "Access', "application/json"),
        ("1.9", 402, '{"code": "payment_required"', "application/json"),
        ("1.9", 403, '{"code": "forbidden"', "application/json"),
        ("1.9", 404, "<!doctype html>", "text/html; charset=utf-8"),
        ("1.9", 409, '{"code": "conflict"', "application/json"),
        ("1.9", 422, '{"code": "unprocessable_entity"', "application/json"),
        ("1.9", 520, "<!doctype html>", "text/html; charset=utf-8"),
        ("1.9", 524, "<!doctype html>", "text/html; charset=utf-8"),
        ("1.9", 529, "<!doctype html>", "text/html; charset=utf-8"),
        ("cloud", 524, "error code: 524", "text/plain; charset=UTF-8"),
        ("1.9", 599, '{"code": "unknown"', "application/json"),
    ],
)
def test_a_failure_comes_from_the_service_or_from_what_stands_before_it(
    dify: httpx.Client, profile: str, code: int, starts: str, kind: str
) -> None:
    headers = {**under({"profile": profile}), "x-sandbox-fault": f"status; code={code}"}
    response = dify.get("/info", headers=headers)
    assert response.status_code == code
    assert response.text.startswith(starts)
    assert response.headers["content-type"] == kind


@pytest.mark.parametrize(("profile", "told"), [("0.15", None), ("1.9", 'Bearer realm="api"')])
def test_every_401_names_its_scheme_but_that_of_the_oldest_release(
    dify: httpx.Client, profile: str, told: str | None
) -> None:
    headers = under({"profile": profile})
    wrong = dify.get("/info", headers=headers | {"Authorization": "Bearer app-wrong"})
    injected = dify.get("/info", headers=headers | {"x-sandbox-fault": "status; code=401"})
    assert [r.headers.get("www-authenticate") for r in (wrong, injected)] == [told] * 2
    assert wrong.json() == injected.json()
