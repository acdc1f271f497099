"""The door: who may ask, and what a browser may do with the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Scope

from web.security import Door


async def page(_: Request) -> HTMLResponse:
    return HTMLResponse("<p>page</p>")


async def generous(_: Request) -> PlainTextResponse:
    return PlainTextResponse("data", headers={"Access-Control-Allow-Origin": "*"})


async def endless(_: Request) -> StreamingResponse:
    async def words() -> AsyncIterator[str]:
        yield "first"
        await asyncio.Event().wait()

    return StreamingResponse(words())


WRITES = ["GET", "POST", "PUT", "DELETE"]
ROUTES = [Route("/", page), Route("/data", generous, methods=WRITES), Route("/endless", endless)]


def ask(method: str = "GET", path: str = "/data", host: str = "127.0.0.1:7860", **headers: str) -> httpx.Response:
    async def once() -> httpx.Response:
        transport = httpx.ASGITransport(app=Door(Starlette(routes=ROUTES), names=["lectern.lan"]))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers={"Host": host} | named)

    return asyncio.run(once())


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:7860", "localhost:1", "LOCALHOST", "[::1]:7860", "[::1]", "lectern.lan:7860"]
)
def test_our_own_names_are_let_in_with_any_port(host: str) -> None:
    assert ask(host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7860",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1@evil.example",
        "evil.example/127.0.0.1",
        "localhost:port",
        "127.0.0.2",
        "",
    ],
)
def test_a_name_re_pointed_to_this_machine_is_refused(host: str) -> None:
    response = ask(host=host)
    assert response.status_code == 421
    assert response.json()["error"]["code"] == "wrong_host"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1:9999", "https://127.0.0.1:7860", "http://localhost:7860", "null"],
)
def test_a_page_of_another_origin_may_not_write(method: str, origin: str) -> None:
    response = ask(method, Origin=origin)
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "foreign_origin"


def test_our_own_page_may_write_and_so_may_programs_without_an_origin() -> None:
    assert ask("POST", Origin="http://127.0.0.1:7860").status_code == 200
    assert ask("POST").status_code == 200


def test_a_cross_site_form_without_an_origin_is_refused() -> None:
    assert ask("POST", Sec_Fetch_Site="cross-site").status_code == 403
    assert ask("POST", Sec_Fetch_Site="same-origin").status_code == 200


def test_a_link_from_another_site_still_opens_the_page() -> None:
    assert ask(path="/", Sec_Fetch_Site="cross-site").status_code == 200


def test_no_answer_lets_another_origin_read_it() -> None:
    response = ask(Origin="http://evil.example")
    assert response.status_code == 200
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_a_page_may_load_and_send_nothing_elsewhere() -> None:
    headers = ask(path="/").headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["object-src"] == policy["frame-ancestors"] == "'none'"
    assert not [source for source in policy.values() if "http" in source or "*" in source]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_refusals_carry_the_headers_too() -> None:
    assert ask(host="evil.example").headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["upload", "file=/etc/passwd", "proxy=http://evil.example", "vibe-edit", "openapi.json"]
)
def test_routes_of_gradio_that_the_page_does_not_need_are_closed(path: str) -> None:
    assert ask(path=f"/gradio_api/{path}").status_code == 404
    assert "is closed" in ask(path=f"/gradio_api/{path}").json()["error"]["message"]


def test_a_stream_passes_word_by_word() -> None:
    async def first_body() -> bytes:
        arrived: asyncio.Queue[bytes] = asyncio.Queue()
        scope: Scope = {
            "type": "http",
            "asgi": {"spec_version": "2.4"},
            "method": "GET",
            "scheme": "http",
            "path": "/endless",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")],
        }

        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                await arrived.put(message["body"])

        running = asyncio.create_task(Door(Starlette(routes=ROUTES))(scope, receive, send))
        try:
            return await asyncio.wait_for(arrived.get(), timeout=5)
        finally:
            running.cancel()

    assert asyncio.run(first_body()) == b"first"


def test_a_web_socket_from_another_origin_is_closed_before_it_opens() -> None:
    async def messages() -> list[Message]:
        sent: list[Message] = []
        headers = [(b"host", b"127.0.0.1:7860"), (b"origin", b"http://evil.example")]
        scope: Scope = {"type": "websocket", "scheme": "ws", "path": "/", "headers": headers}

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await Door(Starlette())(scope, receive, send)
        return sent

    assert [message["type"] for message in asyncio.run(messages())] == ["websocket.close"]
