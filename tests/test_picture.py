"""The picture in the README shows what the package says today."""

import re
import runpy
from html import unescape
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples/picture.py"


def said(picture: str) -> str:
    return " ".join(
        unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", picture, flags=re.S)).split()
    )


def test_the_picture_is_that_of_an_answer_of_today() -> None:
    example = runpy.run_path(str(EXAMPLE))
    kept = example["PICTURE"].read_text("utf-8")
    assert said(kept) == said(example["draw"]()), "run examples/picture.py"
    assert "Inspection report 2025" in said(kept)


def test_the_picture_loads_nothing() -> None:
    picture = runpy.run_path(str(EXAMPLE))["PICTURE"].read_text("utf-8")
    assert not re.search(r"url\(|href|<image|@import", re.sub(r"url\(#", "", picture))
