"""The judgement of vendors' own clients on the sandbox: `make test-oracles`."""

__all__: list[str] = []
