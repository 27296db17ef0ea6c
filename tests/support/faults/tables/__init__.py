"""The rows of the fault matrix: each table reads like a specification of one kind of fault."""
