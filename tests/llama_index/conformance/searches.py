"""How the services write what their searches find."""

from typing import Any

from llama_index_qaip.testing import Answer, Dialect, Request

from .dialects import DifyDialect, PAISDialect, QaipDialect, passage_id

__all__ = ["DatasetDialect", "PAISSearchDialect", "QaipSearchDialect", "WebSearchDialect"]

Json = dict[str, Any]


class _Search(Dialect):
    def streams(self, request: Request) -> bool:
        return False


class QaipSearchDialect(_Search, QaipDialect):
    def whole(self, answer: Answer, request: Request) -> Json:
        results = [
            {"id": passage_id(s), "url": s.url, "title": s.title, "text": s.text}
            for s in answer.sources
        ]
        return {"created": 1760000000, "results": results}


class WebSearchDialect(_Search):
    def whole(self, answer: Answer, request: Request) -> Json:
        results = [{"url": s.url, "title": s.title, "snippet": s.text} for s in answer.sources]
        return {"id": answer.id, "results": results, "server_time": None}


class PAISSearchDialect(_Search, PAISDialect):
    def whole(self, answer: Answer, request: Request) -> Json:
        chunks = [
            {
                "text": s.text,
                "score": s.score,
                "document_id": f"d-{s.title}",
                "origin_name": s.title,
                "origin_ref": s.url,
                "retrieval_id": f"ref{number}",
            }
            for number, s in enumerate(answer.sources)
        ]
        return {"chunks": chunks}


class DatasetDialect(_Search, DifyDialect):
    def whole(self, answer: Answer, request: Request) -> Json:
        records = [
            {
                "score": s.score,
                "child_chunks": None,
                "segment": {
                    "id": passage_id(s),
                    "content": s.text,
                    "document": {"id": f"d-{s.title}", "name": s.title},
                },
            }
            for s in answer.sources
        ]
        return {"query": {"content": request.body.get("query")}, "records": records}
