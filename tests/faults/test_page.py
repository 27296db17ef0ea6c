"""The page about reliability says what the rows say."""

from support.faults.page import PAGE, with_tables


def test_the_page_holds_every_row() -> None:
    page = PAGE.read_text()
    assert page == with_tables(page), "PYTHONPATH=tests:shared python -m support.faults.page"
