"""Qaip as a service: where it is, what its errors mean, and what its calls share."""

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator

from qaip_core.backend import Backend, Wire
from qaip_core.reading import finite
from qaip_core.report import Rule
from qaip_core.types import Citation, source_id

__all__ = ["QAIP", "Content", "FileType", "Since", "SourceType"]

SourceType: TypeAlias = Literal["crawl", "local_file", "google_drive", "github", "notion"]
FileType: TypeAlias = Literal[
    "html", "pdf", "ppt", "pptx", "pptm", "doc", "docx", "docm", "xls", "xlsx", "xlsm", "md",
    "txt", "jsonl", "png", "jpg", "webp", "heic", "heif", "wav", "mp3", "aiff", "aif", "aac",
    "m4a", "ogg", "oga", "flac", "mp4", "mpg", "mov", "avi", "flv", "webm", "wmv", "3gp",
    "notion_page",
]  # fmt: skip

QAIP = Backend(
    name="qaip",
    title="Qaip",
    base_url="https://developer.qaip.com/api/v1",
    key_env=("QAIP_API_KEY",),
    url_env=("QAIP_BASE_URL",),
    docs="https://developer.qaip.com",
    key_header="x-api-key",
    key_prefix="",
    rules=(
        Rule(code=("REDACTION_FAILED",), retry=False),
        Rule(
            code=("UNKNOWN_REDACTION_POLICY",),
            hint="Check redaction_policy_id; nothing was answered without redaction.",
        ),
        Rule(
            code=("THREAD_ADVANCED",),
            retry=False,
            hint="The conversation has gone on in the meantime: read it again.",
        ),
        Rule(status=(409,), retry=False),
        Rule(
            status=(403,),
            hint="The key may lack the scope (inference:run for answers and conversations, "
            "knowledge:read for all else), or the account its credits.",
        ),
    ),
    named_headers={"x-request-id": "request_id", "x-conversation-id": "conversation_id"},
)


def _unix(value: Any) -> Any:
    """Return Unix seconds for a day (midnight) or a time, UTC unless they say else."""
    if isinstance(value, str) and not value.isdigit():
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("a day is written as text such as 2026-01-31") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return value


def _recent(value: int) -> int:
    if value < _FIRST_DATE:
        raise ValueError(f"the service takes none before 2024-12-31T10:00Z ({_FIRST_DATE})")
    return value


_FIRST_DATE = 1_735_639_200
if TYPE_CHECKING:
    Since: TypeAlias = int | date | str
else:
    Since = Annotated[int, AfterValidator(_recent), BeforeValidator(_unix)]
"""Unix seconds; a date, a datetime, or either as ISO 8601 text, is translated."""


class Content(Wire, extra="allow"):
    """A passage of the indexed documents."""

    id: str | None = None
    url: str | None = None
    text: str | None = None
    title: str | None = None
    page_number: int | None = None

    def citation(self, rank: int) -> Citation:
        """Return it as a source; ``rank`` is its place in the list, from 1."""
        page = self.page_number or None  # 0: the source has no pages
        return Citation(
            id=self.id or source_id(self.url, self.text, page),
            url=self.url,
            title=self.title,
            text=self.text,
            page_number=page,
            rank=rank,
            metadata={k: v for k, v in finite(self.model_extra or {}).items() if v is not None},
        )
