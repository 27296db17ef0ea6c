"""Dify 0.15 to 1.16 and Cloud: an app over the documents, and the knowledge base they are in."""

from typing import cast

from qaip_sandbox.service import Route, Service
from qaip_sandbox.switches import Switches

from .about import info, parameters, welcome
from .apps import chat, complete, stop_chat, stop_completion
from .datasets import retrieve
from .files import upload
from .messages import conversations, feedback, messages, rename
from .refusals import BASE_PATH, DATASET_KEY, authorize, error_event, failed
from .sending import ping_of
from .switches import DifySwitches, Variable
from .workflows import run_workflow, stop_workflow

__all__ = ["DIFY", "DifySwitches", "Variable"]

_APP_KEY = "DIFY_API_KEY"


def _ping(switches: Switches) -> bytes:
    return ping_of(crlf=cast("DifySwitches", switches).crlf)


DIFY = Service(
    name="dify",
    base_path=BASE_PATH,
    base_url_name="DIFY_BASE_URL",
    keys={_APP_KEY: "app-sandbox-key", DATASET_KEY: "dataset-sandbox-key"},
    routes=(
        Route("GET", "/", welcome, _APP_KEY),
        Route("GET", "/info", info, _APP_KEY),
        Route("GET", "/parameters", parameters, _APP_KEY),
        Route("POST", "/completion-messages", complete, _APP_KEY),
        Route("POST", "/completion-messages/{task_id}/stop", stop_completion, _APP_KEY),
        Route("POST", "/chat-messages", chat, _APP_KEY),
        Route("POST", "/chat-messages/{task_id}/stop", stop_chat, _APP_KEY),
        Route("POST", "/workflows/run", run_workflow, _APP_KEY),
        Route("POST", "/workflows/tasks/{task_id}/stop", stop_workflow, _APP_KEY),
        Route("POST", "/files/upload", upload, _APP_KEY),
        Route("POST", "/messages/{message_id}/feedbacks", feedback, _APP_KEY),
        Route("GET", "/messages", messages, _APP_KEY),
        Route("GET", "/conversations", conversations, _APP_KEY),
        Route("POST", "/conversations/{conversation_id}/name", rename, _APP_KEY),
        Route("POST", "/datasets/{dataset_id}/retrieve", retrieve, DATASET_KEY),
        Route("POST", "/datasets/{dataset_id}/hit-testing", retrieve, DATASET_KEY),
    ),
    authorize=authorize,
    failed=failed,
    error_event=error_event,
    ping=_ping,
    switches=DifySwitches,
)
