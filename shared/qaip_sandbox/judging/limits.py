"""What a client may do before it is found at fault."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qaip_sandbox.switches import reason

__all__ = ["Limits"]

_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Limits(BaseModel):
    """What is still good manners.

    Args:
        attempts: How often one request may be sent in all, 1 or more.
        backoff: The shortest wait before a request is sent again, in seconds, 0 or more.
        linger: How long a stream may stay open after the call that it belongs to has ended, in
            seconds, 0 or more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempts: Annotated[int, Field(ge=1)] = 3
    backoff: _Seconds = 0.05
    linger: _Seconds = 0.5

    @classmethod
    def checked(cls, values: Any) -> Self:
        """Return limits of these values, which may also be text, as in a URL.

        Raises:
            ValueError: a limit is unknown or out of range; the message names it.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            known = f" (there are {', '.join(cls.model_fields)})"
            unknown = error.errors()[0]["type"] == "extra_forbidden"
            raise ValueError(f"{reason(error)}{known if unknown else ''}") from None
