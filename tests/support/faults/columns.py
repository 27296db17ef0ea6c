"""Ways of asking by themselves, for tests that need no rows."""

from collections.abc import Iterable

import pytest

from support.fault_server import Reply
from support.faults.speech import Speech
from support.faults.subjects import SUBJECTS, Subject

__all__ = ["ASYNC", "SYNC", "each", "named", "whole"]

SYNC = [s for s in SUBJECTS if not s.is_async]
ASYNC = [s for s in SUBJECTS if s.is_async]


def each(subjects: Iterable[Subject]) -> pytest.MarkDecorator:
    """Run a test, which takes ``subject`` and ``speech``, for each way of asking and writing."""
    params = [
        pytest.param(subject, speech, id=f"{subject.name}-{speech.name}")
        for subject in subjects
        for speech in subject.speeches
    ]
    return pytest.mark.parametrize(("subject", "speech"), params)


def named(name: str) -> Subject:
    """The way of asking that has a name."""
    return next(subject for subject in SUBJECTS if subject.name == name)


def whole(subject: Subject, speech: Speech) -> Reply:
    """A complete answer, in the form in which it is asked for."""
    return speech.answer("tea", stream=subject.wants_stream)
