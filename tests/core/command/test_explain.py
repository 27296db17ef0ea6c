"""`qaip explain`."""

import pytest

from qaip_core.command.explain import sections

from .conftest import Run

PAGE = """\
# Errors

Words.

## MissingKeyError

No key.

<!-- raises: MissingKeyError -->
```python
# not a heading
## nor this
```

### In Dify

Two keys.

## Behind a corporate `proxy`

Ask for its CA.
"""


def test_a_section_reaches_to_the_next_one_and_holds_those_below_it() -> None:
    found = sections(PAGE)
    assert list(found) == ["missingkeyerror", "in-dify", "behind-a-corporate-proxy"]
    assert found["missingkeyerror"].endswith("Two keys.\n")
    assert "## nor this" in found["missingkeyerror"]
    assert "<!--" not in found["missingkeyerror"]
    assert found["in-dify"] == "### In Dify\n\nTwo keys.\n"


@pytest.mark.parametrize(
    "name",
    [
        "MissingKeyError",
        "missingkeyerror",
        "qaip_core.errors.MissingKeyError",
        "docs/errors.md#missingkeyerror",
    ],
)
def test_an_error_is_explained_by_any_of_its_names(qaip: Run, name: str) -> None:
    code, out, _ = qaip("explain", name)
    assert code == 0
    assert out.splitlines()[0].endswith("MissingKeyError")
    assert "\n## " not in out


def test_without_a_name_all_are_listed(qaip: Run) -> None:
    listed = [line.strip() for line in qaip("explain").out.splitlines()]
    assert {"MissingKeyError", "RateLimitError", "IncompleteStreamError"} <= set(listed)


def test_a_misspelt_name_gets_the_nearest(qaip: Run) -> None:
    code, out, err = qaip("explain", "MissingKeysError")
    assert (code, out) == (2, "")
    assert "Did you mean MissingKeyError" in err


def test_an_unknown_name_is_told_how_to_find_one(qaip: Run) -> None:
    assert "`qaip explain` lists them" in qaip("explain", "xyzzy").err
