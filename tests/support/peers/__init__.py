"""What classes of both frameworks do against a server that plays their service, row by row.

`check` measures a row, `comparison` holds a framework's table to its page, `subject` says what
is compared; `langchain` and `llama_index` bring the rows (`table`) and the columns (`subjects`).
Nothing is mocked: every class speaks HTTP to a `FaultServer` on loopback.
"""
