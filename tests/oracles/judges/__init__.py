"""The judges: what each vendor's own client is asked to do with the sandbox."""

__all__: list[str] = []
