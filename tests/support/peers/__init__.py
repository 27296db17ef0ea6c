"""What LangChain classes do against a server that plays their service, row by row.

`table.CHECKS` are the rows, `subjects` the columns; both the tests and the comparison page run
them. Nothing is mocked: every class speaks HTTP to a `FaultServer` on loopback.
"""
