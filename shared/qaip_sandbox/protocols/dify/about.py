"""What the app tells of itself."""

from starlette.responses import Response

from qaip_sandbox._wire import Json
from qaip_sandbox.service import Call

from .files import LIMITS, MOST_IMAGES
from .forms import shown, variables
from .kinds import mode_of
from .profiles import profile_of
from .refusals import nowhere, told
from .switches import DifySwitches

__all__ = ["info", "parameters", "welcome"]

_OFF: Json = {"enabled": False}
_BY_FORM = ("any", "completion", "workflow")


async def welcome(call: Call) -> Response:
    """Greet at the base URL, as long as the service did."""
    switches = call.switched(DifySwitches)
    profile = profile_of(switches)
    if not profile.welcomes:
        return nowhere(switches)
    greeting = {"welcome": "Dify OpenAPI", "api_version": "v1", "server_version": profile.version}
    return told(switches, greeting)


async def info(call: Call) -> Response:
    """Tell the app's name and kind."""
    switches = call.switched(DifySwitches)
    described: Json = {"mode": mode_of(switches), "author_name": "Sandbox"}
    return told(
        switches,
        {
            "name": "Sandbox",
            "description": f"Quotes from {len(call.library.documents)} documents.",
            "tags": [],
            **(described if profile_of(switches).describes else {}),
        },
    )


async def parameters(call: Call) -> Response:
    """Tell the app's form and what it can do."""
    switches = call.switched(DifySwitches)
    form = variables(switches, chat=switches.app not in _BY_FORM)
    image = {
        "enabled": switches.vision,
        "number_limits": MOST_IMAGES,
        "detail": "high",
        "transfer_methods": ["remote_url", "local_file"],
    }
    speech = {"enabled": switches.tts != "never", "voice": "", "language": ""}
    moderates = switches.moderation != "off"
    return told(
        switches,
        {
            "opening_statement": "",
            "suggested_questions": [],
            "suggested_questions_after_answer": _OFF,
            "speech_to_text": _OFF,
            "text_to_speech": speech,
            "retriever_resource": {"enabled": switches.citations},
            "annotation_reply": _OFF,
            "more_like_this": _OFF,
            "user_input_form": shown(form),
            "sensitive_word_avoidance": {
                "enabled": moderates,
                "type": "keywords" if moderates else "",
                "configs": [],
            },
            "file_upload": {"image": image},
            "system_parameters": {
                "image_file_size_limit": LIMITS["image"],
                "video_file_size_limit": LIMITS["video"],
                "audio_file_size_limit": LIMITS["audio"],
                "file_size_limit": LIMITS["other"],
                "workflow_file_upload_limit": 10,
            },
        },
    )
