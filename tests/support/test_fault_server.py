"""The fault server sends exactly what a reply says, and sees exactly what a client does."""

import asyncio
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from support.fault_server import FaultServer, Framing, Reply, cut, html_reply, json_reply, sse_reply

GET = b"GET /tea HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def client(server: FaultServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=2, trust_env=False) as ready:
        yield ready


def connect(server: FaultServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=2)


def everything(server: FaultServer, request: bytes = GET) -> bytes:
    """All bytes that one connection brings until the server closes it."""
    with connect(server) as sock:
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def test_a_request_is_recorded_as_it_arrived(server: FaultServer, client: httpx.Client) -> None:
    before = time.monotonic()
    server.replies(json_reply({}))
    client.post("/a?b=c", json={"leaf": "oolong"}, headers={"X-Kettle": "on"})
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/a?b=c")
    assert request.headers["x-kettle"] == "on"
    assert request.json() == {"leaf": "oolong"}
    assert before <= request.at <= time.monotonic()


def test_a_chunked_request_body_is_recorded_whole(
    server: FaultServer, client: httpx.Client
) -> None:
    server.replies(json_reply({}))
    client.post("/", content=iter([b"first ", b"second"]))
    assert server.requests[0].body == b"first second"


def test_replies_come_in_order_and_the_last_one_repeats(
    server: FaultServer, client: httpx.Client
) -> None:
    server.replies(json_reply({}, 503), json_reply({}, 429, retry_after="7"))
    statuses = [client.get("/").status_code for _ in range(3)]
    assert statuses == [503, 429, 429]
    server.replies(html_reply(502))
    answer = client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")


def test_headers_are_named_with_underscores(server: FaultServer, client: httpx.Client) -> None:
    server.replies(json_reply({}, 429, retry_after="7"))
    assert client.get("/").headers["retry-after"] == "7"


def test_without_a_reply_the_server_says_so(server: FaultServer, client: httpx.Client) -> None:
    assert client.get("/").status_code == 501


def test_clean_replies_keep_one_connection(server: FaultServer, client: httpx.Client) -> None:
    server.replies(json_reply({"n": 1}), sse_reply("one", "two"))
    assert client.get("/").json() == {"n": 1}
    assert client.get("/").text == "data: one\n\ndata: two\n\n"
    assert server.open_connections == 1
    client.close()
    assert server.wait_closed()


def test_each_piece_is_one_chunk(server: FaultServer) -> None:
    reply = Reply(content_type=None, headers=[("A", "1"), ("A", "2")], body=[b"ab", b"", b"c"])
    server.replies(reply)
    assert everything(server) == (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: 1\r\nA: 2\r\n\r\n"
        b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    )


def test_length_and_close_framing_are_bare_bytes(server: FaultServer) -> None:
    server.replies(Reply(content_type=None, body=b"tea", framing="length"))
    assert everything(server) == b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntea"
    server.replies(Reply(599, "Odd", content_type=None, body=b"tea", framing="close"))
    assert everything(server) == b"HTTP/1.1 599 Odd\r\nConnection: close\r\n\r\ntea"


def test_raw_bytes_are_sent_untouched(server: FaultServer) -> None:
    server.replies(Reply(raw=b"\x00 no http at all"))
    assert everything(server) == b"\x00 no http at all"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=[b"tea", b"pot"], end="cut"),
        Reply(body=b"tea", framing="length", end="cut"),
        Reply(body=b"tea", framing="length", content_length=9),
        Reply(body=[b"tea", b"pot"], wrong_chunk_size=True),
        Reply(raw=b"HTTP/1.1 2"),
    ],
    ids=["chunked-cut", "length-cut", "length-lie", "wrong-chunk-size", "half-a-status-line"],
)
def test_broken_framing_is_a_protocol_error(
    server: FaultServer, client: httpx.Client, reply: Reply
) -> None:
    server.replies(reply)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/")
    assert server.wait_closed()


def test_a_cut_stream_delivers_what_came_before(server: FaultServer, client: httpx.Client) -> None:
    server.replies(sse_reply("one", end="cut"))
    received: list[bytes] = []
    with client.stream("GET", "/") as response, pytest.raises(httpx.RemoteProtocolError):
        received.extend(response.iter_raw())
    assert received == [b"data: one\n\n"]


def test_a_reset_arrives_as_a_reset_after_the_body(server: FaultServer) -> None:
    server.replies(Reply(body=[b"tea", 0.05], end="reset"))
    with connect(server) as sock:
        sock.sendall(GET)
        received: list[bytes] = []
        with pytest.raises(ConnectionResetError):
            received.extend(iter(lambda: sock.recv(65536), b""))
    assert b"".join(received).endswith(b"3\r\ntea\r\n")


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_a_hanging_reply_ends_with_the_client(server: FaultServer, framing: Framing) -> None:
    server.replies(Reply(body=b"tea", framing=framing, end="hang"))
    with (
        httpx.Client(timeout=httpx.Timeout(2, read=0.1), trust_env=False) as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        client.get(server.url)
    assert server.wait_closed()


def test_delay_and_pauses_take_their_time(server: FaultServer, client: httpx.Client) -> None:
    server.replies(Reply(body=[b"a", 0.1, b"b"], delay=0.1))
    started = time.monotonic()
    with client.stream("GET", "/") as response:
        headers_after = time.monotonic() - started
        pieces = list(response.iter_raw())
    assert headers_after >= 0.1
    assert time.monotonic() - started >= 0.2
    assert pieces == [b"a", b"b"]


def test_a_dropped_stream_frees_its_connection(server: FaultServer) -> None:
    server.replies(Reply(body=[b"tick", 0.01] * 10_000))
    with (
        httpx.Client(trust_env=False) as client,
        client.stream("GET", server.url) as response,
    ):
        pieces = response.iter_raw()
        assert next(pieces) == b"tick"
        assert server.open_connections == 1
        assert not server.wait_closed(0.05)
    assert server.wait_closed(0.5)


def test_a_client_that_never_reads_does_not_block_the_server(server: FaultServer) -> None:
    server.replies(Reply(body=[b"x" * 1_000_000] * 50))
    with connect(server) as sock:
        sock.sendall(GET)
        assert server.wait_requests(1)
        assert server.open_connections == 1
    assert server.wait_closed()


def test_no_http_is_answered_with_400(server: FaultServer) -> None:
    assert everything(server, b"hello\r\n\r\n").startswith(b"HTTP/1.1 400 Not HTTP")


def test_stopping_does_not_wait_for_hanging_clients() -> None:
    with FaultServer() as server:
        server.replies(Reply(end="hang"))
        clients = [connect(server) for _ in range(20)]
        for sock in clients:
            sock.sendall(GET)
        assert server.wait_requests(20, timeout=2)
        started = time.monotonic()
    assert time.monotonic() - started < 0.5
    for sock in clients:
        sock.close()


def test_after_the_block_nobody_listens() -> None:
    with FaultServer() as server:
        pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url, trust_env=False)


async def test_many_streams_at_once(server: FaultServer) -> None:
    server.replies(Reply(body=[b"a", 0.05, b"b"]))
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(trust_env=False, limits=limits) as client:
        answers = await asyncio.gather(*(client.get(server.url) for _ in range(200)))
    assert {answer.text for answer in answers} == {"ab"}
    assert len(server.requests) == 200
    assert await asyncio.to_thread(server.wait_closed)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_cut_loses_nothing(size: int) -> None:
    body = "Earl Grey \u2028 Sencha".encode()
    pieces = cut(body, sizes=size)
    assert b"".join(pieces) == body
    assert all(len(piece) == size for piece in pieces[:-1])


def test_sse_events_are_framed_unless_they_are_bytes(server: FaultServer) -> None:
    server.replies(sse_reply(b": ping\r\n\r\n", "{}", newline="\r\n", framing="close"))
    assert body_of(everything(server)) == b": ping\r\n\r\ndata: {}\r\n\r\n"
