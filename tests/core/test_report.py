"""Error bodies of any service become a message for people, a code, and a class."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaip_core import errors
from qaip_core.backends import BACKENDS
from qaip_core.report import Rule, read_report, status_error, stream_error

ENVELOPES: list[tuple[Any, str, str | None]] = [
    ({"error": {"message": "no", "code": "C", "type": "T"}}, "no", "C"),
    ({"error": {"message": "no", "code": 401, "type": "T"}}, "no", "T"),
    ({"error": {"message": "no", "code": 401}}, "no", "401"),
    ({"error": {"message": "no", "code": None, "type": None}}, "no", None),
    ({"error": {"message": "no"}, "code": "C"}, "no", "C"),
    ({"error": "no", "code": "C"}, "no", "C"),
    ({"error": {"error": {"message": "no"}}}, "no", None),
    (
        {"fault": {"faultstring": "no", "detail": {"errorcode": "oauth.v2.Invalid"}}},
        "no",
        "oauth.v2.Invalid",
    ),
    ({"fault": {"faultstring": "no"}}, "no", None),
    ({"message": "no", "code": "C", "status": 400}, "no", "C"),
    ({"object": "error", "message": "no", "type": "T"}, "no", "T"),
    (
        {"message": "no", "errors": {"user": "missing", "n": "too small"}},
        "no: missing; too small",
        None,
    ),
    ({"detail": "no"}, "no", None),
    ({"detail": [{"loc": ["body", "n"], "msg": "too small"}]}, "body.n: too small", None),
    ({"detail": [{"msg": "a"}, {"message": "b"}, {}]}, "a; b; invalid", None),
    ({"detail": [{"error_code": "E", "msg": "no"}]}, "no", "E"),
    ({"detail": ["no"]}, "validation failed", None),
    ({"detail": {"message": "no", "code": "C"}}, "no", "C"),
    ({"detail": {"error": "no"}}, "no", None),
    ({"detail": []}, "the service gave no reason", None),
    ({"error": {"message": ""}}, "the service gave no reason", None),
    ({"error": ""}, "the service gave no reason", None),
    ({}, "the service gave no reason", None),
    ([], "the service gave no readable reason", None),
    (None, "the service gave no readable reason", None),
    (7, "the service gave no readable reason", None),
    ("no", "no", None),
]


@pytest.mark.parametrize(("body", "message", "code"), ENVELOPES, ids=lambda v: json.dumps(v)[:40])
def test_every_envelope_is_read(body: Any, message: str, code: str | None) -> None:
    report = read_report(json.dumps(body).encode())
    assert (report.message, report.code, report.body) == (message, code, body)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html><head><title>502 Bad\n Gateway</title></head>x", "502 Bad Gateway"),
        (b"<TITLE lang=en>Tom &amp; Jerry</TITLE>", "Tom & Jerry"),
        (b"error code: 1015", "error code: 1015"),
        (b"a \n\n  b", "a b"),
        (b"", "the service gave no reason"),
        (b" \n", "the service gave no reason"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 10_000, "x" * 500),
        (b"<title>" + b"x" * 10_000 + b"</title>", "x" * 500),
        (b'{"error": {"message": "cut', '{"error": {"message": "cut'),
    ],
)
def test_other_bodies_are_shown_in_part(content: bytes, message: str) -> None:
    assert read_report(content).message == message


@pytest.mark.parametrize(("status", "expected"), [(429, 429), ("429", None), (True, None)])
def test_a_body_may_name_a_status(status: Any, expected: int | None) -> None:
    assert read_report({"message": "no", "status": status}).status == expected


USER_DATA = "my secret diary"
FAULT = {
    "type": "less_than_equal",
    "loc": ["body", "temperature"],
    "msg": "too large",
    "input": USER_DATA,
    "value": USER_DATA,
    "ctx": {"given": USER_DATA},
}


@pytest.mark.parametrize("body", [{"detail": [FAULT]}, {"detail": [FAULT, FAULT]}])
def test_user_data_is_not_repeated(body: Any) -> None:
    assert USER_DATA not in read_report(body).message
    assert "body.temperature: too large" in read_report(body).message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "detail", "fault", "faultstring", "errors", "code"]
            )
            | st.sampled_from(["type", "loc", "msg", "error_code", "errorcode", "status"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_body_has_a_message(body: Any) -> None:
    report = read_report(json.dumps(body).encode())
    assert report.message
    assert report.code is None or isinstance(report.code, str)


@given(st.binary(max_size=40))
def test_any_bytes_have_a_message(content: bytes) -> None:
    assert read_report(content).message


def refused(status: int, body: Any = None, rules: tuple[Rule, ...] = ()) -> errors.StatusError:
    return status_error(
        read_report(body or {"message": "no"}),
        status=status,
        rules=rules,
        env="X_API_KEY",
        url="http://x/{y}",
    )


CLASSES: list[tuple[int, type[errors.StatusError]]] = [
    (300, errors.BadRequestError),
    (400, errors.BadRequestError),
    (401, errors.AuthenticationError),
    (402, errors.PaymentRequiredError),
    (403, errors.PermissionDeniedError),
    (404, errors.NotFoundError),
    (405, errors.BadRequestError),
    (408, errors.RequestTimeoutError),
    (504, errors.RequestTimeoutError),
    (524, errors.RequestTimeoutError),
    (409, errors.ConflictError),
    (412, errors.PreconditionFailedError),
    (418, errors.BadRequestError),
    (422, errors.UnprocessableEntityError),
    (429, errors.RateLimitError),
    (500, errors.ServerError),
    (599, errors.ServerError),
]


@pytest.mark.parametrize(("status", "kind"), CLASSES)
def test_a_status_has_a_class(status: int, kind: type[errors.StatusError]) -> None:
    error = refused(status)
    assert type(error) is kind
    assert error.status == status
    assert str(error).startswith(f"HTTP {status}: no")
    assert error.is_retryable == (status in {408, 409, 429, 500, 504})


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "set X_API_KEY"),
        (402, "credit"),
        (403, "rights"),
        (404, "http://x/{y}"),
        (500, "HTTP 500: no"),
    ],
)
def test_a_message_says_what_to_do(status: int, hint: str) -> None:
    assert hint in str(refused(status))


OVERFLOWS = [
    {"error": {"message": "The prompt is too long: 500208, model maximum context length: 262143"}},
    {"error": {"message": "This model's maximum context length is 1024 tokens"}},
    {"error": {"message": "the model's context length is only 1024 tokens"}},
    {"error": {"message": "the request exceeds the available context size"}},
    {"error": {"message": "no", "code": "context_length_exceeded"}},
    {"error": {"message": "no", "type": "exceed_context_size_error", "code": 400}},
]


@pytest.mark.parametrize("body", OVERFLOWS)
def test_a_prompt_that_is_too_long_has_a_class(body: Any) -> None:
    error = refused(400, body)
    assert type(error) is errors.ContextOverflowError
    assert "Shorten the prompt" in str(error)
    assert not error.is_retryable
    assert "Shorten the prompt" in str(stream_error(body, status=400))


def test_the_first_row_that_fits_wins() -> None:
    rules = (
        Rule(errors.RateLimitError, status=(400,), code=("A",), hint="one"),
        Rule(errors.ModelNotReadyError, status=(400,), text="^no$", hint="two", retry=False),
        Rule(retry=True, hint="three"),
    )
    seen = [
        refused(400, {"message": m, "code": c}, rules)
        for m, c in [("x", "A"), ("NO", "B"), ("x", "B")]
    ]
    assert [type(e) for e in seen] == [
        errors.RateLimitError,
        errors.ModelNotReadyError,
        errors.BadRequestError,
    ]
    assert [e.message.rpartition(" ")[2] for e in seen] == ["one", "two", "three"]
    assert [e.is_retryable for e in seen] == [True, False, True]


@pytest.mark.parametrize(
    ("payload", "status", "retryable"),
    [
        ({"error": {"message": "no", "code": 500}}, 500, True),
        ({"error": {"message": "no", "code": 400}}, 400, False),
        ({"message": "no", "status": 429}, 429, True),
        ({"message": "no"}, None, False),
        ({"message": "no", "code": "broken"}, None, False),
    ],
)
def test_an_error_event_names_its_status(payload: Any, status: int | None, retryable: bool) -> None:
    error = stream_error(payload)
    assert (error.status, error.is_retryable) == (status, retryable)
    assert error.message == "the service reported: no"


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b.name)
def test_every_hint_can_be_shown(backend: Any) -> None:
    for rule in backend.rules:
        hint = rule.hint.format(env="E", url="U", asked="").strip()
        if hint:
            assert hint[0].isupper()
            assert hint.rstrip("=.").strip()
