"""`qaip models`."""

import json

import pytest

from qaip_sandbox import Sandbox, Status

from .conftest import Run


def test_the_models_of_all_services_that_are_set_up_are_listed(qaip: Run, sandbox: Sandbox) -> None:
    code, out, err = qaip("models", **sandbox.env)
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["perplexity", "perplexity/sonar", "model", "perplexity"] in rows
    assert {row[0] for row in rows} == {"perplexity", "pais", "fireworks"}
    assert err.splitlines() == [
        "qaip: Qaip chooses its model itself: it has no list of them",
        "qaip: Dify chooses its model itself: it has no list of them",
    ]


@pytest.mark.parametrize(
    ("service", "model"),
    [
        ("perplexity", "perplexity/sonar"),
        ("fireworks", "accounts/sandbox/models/extractive"),
        ("pais", "sandbox-extractive"),
    ],
)
def test_those_of_one_service(qaip: Run, sandbox: Sandbox, service: str, model: str) -> None:
    found = json.loads(qaip("models", "--service", service, "--json", **sandbox.env).out)
    assert {offer["service"] for offer in found} == {service}
    assert found[0]["id"] == model


def test_what_a_list_says_of_a_model_is_shown(qaip: Run, sandbox: Sandbox) -> None:
    out = qaip("models", "--service", "fireworks", **sandbox.env).out
    assert out.split() == [
        *("fireworks", "accounts/sandbox/models/extractive", "CUSTOM_MODEL", "sandbox"),
        *("131,072", "tokens"),
    ]


def test_a_service_without_a_list_says_so(qaip: Run, sandbox: Sandbox) -> None:
    code, out, err = qaip("models", "--service", "dify", **sandbox.env)
    assert (code, out) == (0, "")
    assert "chooses its model itself" in err


def test_if_none_is_set_up_it_says_how_to_begin(qaip: Run) -> None:
    code, out, err = qaip("models")
    assert (code, out) == (2, "")
    assert "FIREWORKS_API_KEY" in err


def test_one_that_fails_does_not_hide_the_others(qaip: Run, sandbox: Sandbox) -> None:
    sandbox.faults.add(Status(code=403, service="perplexity"))
    code, out, err = qaip("models", **sandbox.env)
    assert code == 1
    assert "accounts/sandbox/models/extractive" in out
    assert "PermissionDeniedError" in err


def test_one_that_cannot_be_asked_ends_as_a_wrong_argument_does(qaip: Run) -> None:
    assert qaip("models", "--service", "fireworks").code == 2
