"""Every status that means anything: what may pass is asked for three times, the others once."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from qaip_core import ServiceError
from qaip_core import errors as e

__all__ = ["MEANINGS", "named"]

MEANINGS: Sequence[tuple[int, type[ServiceError], int]] = [
    (300, e.BadRequestError, 1),
    (301, e.BadRequestError, 1),
    (302, e.BadRequestError, 1),
    (303, e.BadRequestError, 1),
    (304, e.BadRequestError, 1),
    (305, e.BadRequestError, 1),
    (307, e.BadRequestError, 1),
    (308, e.BadRequestError, 1),
    (400, e.BadRequestError, 1),
    (401, e.AuthenticationError, 1),
    (402, e.PaymentRequiredError, 1),
    (403, e.PermissionDeniedError, 1),
    (404, e.NotFoundError, 1),
    (405, e.BadRequestError, 1),
    (406, e.BadRequestError, 1),
    (407, e.BadRequestError, 1),
    (408, e.RequestTimeoutError, 3),
    (409, e.ConflictError, 3),
    (410, e.BadRequestError, 1),
    (411, e.BadRequestError, 1),
    (412, e.PreconditionFailedError, 1),
    (413, e.BadRequestError, 1),
    (414, e.BadRequestError, 1),
    (415, e.BadRequestError, 1),
    (416, e.BadRequestError, 1),
    (417, e.BadRequestError, 1),
    (418, e.BadRequestError, 1),
    (421, e.BadRequestError, 1),
    (422, e.UnprocessableEntityError, 1),
    (423, e.BadRequestError, 1),
    (424, e.BadRequestError, 1),
    (425, e.BadRequestError, 3),
    (426, e.BadRequestError, 1),
    (428, e.BadRequestError, 1),
    (429, e.RateLimitError, 3),
    (431, e.BadRequestError, 1),
    (451, e.BadRequestError, 1),
    (499, e.BadRequestError, 1),
    (500, e.ServerError, 3),
    (501, e.ServerError, 1),
    (502, e.ServerError, 3),
    (503, e.ServerError, 3),
    (504, e.RequestTimeoutError, 3),
    (505, e.ServerError, 1),
    (506, e.ServerError, 1),
    (507, e.ServerError, 1),
    (508, e.ServerError, 1),
    (510, e.ServerError, 1),
    (511, e.ServerError, 1),
    (520, e.ServerError, 1),
    (521, e.ServerError, 1),
    (522, e.ServerError, 1),
    (523, e.ServerError, 1),
    (524, e.RequestTimeoutError, 1),
    (525, e.ServerError, 1),
    (526, e.ServerError, 1),
    (529, e.ServerError, 3),
    (530, e.ServerError, 1),
    (598, e.ServerError, 1),
    (599, e.ServerError, 1),
]
"""Each status, its error, and how often it is asked where two retries are allowed."""
_UNREGISTERED: Mapping[int, str] = {
    499: "closed by the client",
    520: "an edge server got an answer that is none",
    521: "an edge server was refused",
    522: "an edge server could not connect",
    523: "an edge server found no way",
    524: "an edge server gave up waiting",
    525: "an edge server's TLS handshake failed",
    526: "an edge server was shown a bad certificate",
    529: "overloaded",
    530: "an edge server's own error",
    598: "a proxy's read took too long",
    599: "a proxy's connection took too long",
}


def named(status: int) -> str:
    """What a row calls a status."""
    registered = {known.value: known.phrase for known in HTTPStatus}
    return f"a status {status}, {(registered | _UNREGISTERED).get(status, 'Use Proxy')}"
