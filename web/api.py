"""The HTTP API for other programs: OpenAI's chat completions and models, NIM's health and metrics."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.routing import Match

from models.cancellation import CancelToken
from rag.access import Identity
from rag.appliance import Appliance
from rag.served import ServedModel
from web.api_errors import ApiError, unknown_model
from web.api_shapes import ChatRequest
from web.completions import Completion
from web.metrics import add_metrics
from web.pieces import JsonObject, Piece, pieces_of_answer, pieces_of_chat
from web.pulling import pull_ahead, pull_all
from web.sign_in import signed_in

SignedIn = Annotated[Identity, Depends(signed_in)]
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
# Naming 4XX keeps FastAPI from promising its own 422.
ERRORS: dict[int | str, dict[str, object]] = {"4XX": {"description": "An error object in OpenAI's shape"}}

COMPLETION_NOTES = """
`model: "lectern"` answers from the documents: the last message is the question, earlier ones of the user and the
assistant are the history, system messages are accepted and left out. The name of a language model answers without
documents; so does `use_knowledge_base: false`.

Extensions beside OpenAI's fields, as in NVIDIA's RAG Blueprint: `citations` stands on the first chunk after a citation
was checked and on later ones that add another (each list replaces the one before; the last chunk carries the final
one), and in a whole reply beside `choices` and in the message. `metrics` (milliseconds) and `lectern` (mode, refused,
confidence, notes, and the `engine` that wrote: name, model, host, place) stand on the last chunk; where an engine fails
on the way, a chunk has `lectern.engine_lost` (message, and what comes next). A bare model's first chunk has
`lectern.engine`. `finish_reason` is "length" where an engine broke off and the answer is not whole. A failure before
the first word has its own status; a later one is an event with an error object. Every stream ends with `data: [DONE]`.
"""


def api_routes(appliance: Appliance) -> APIRouter:
    """The routes under `/v1`."""
    routes = APIRouter(prefix="/v1", responses=ERRORS)

    @routes.post("/chat/completions", tags=["chat"], description=COMPLETION_NOTES, response_model=None)
    async def complete(body: ChatRequest, request: Request, identity: SignedIn) -> Response:
        cancel = CancelToken()
        # In a thread: it looks into the database before the first piece.
        pieces = await run_in_threadpool(_pieces, appliance, body, identity, cancel)
        completion = Completion(f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), body.model)
        if not body.stream:
            return JSONResponse(completion.whole(await pull_all(request, pieces, cancel)))
        ahead = await pull_ahead(request, pieces, cancel)
        with_usage = body.stream_options is not None and body.stream_options.include_usage
        events = completion.events(ahead, include_usage=with_usage)
        return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)

    @routes.get("/models", tags=["models"])
    def list_models(_: SignedIn) -> JsonObject:
        return {"object": "list", "data": [_model_object(model) for model in appliance.models()]}

    @routes.get("/models/{model_id:path}", tags=["models"])
    def show_model(model_id: str, _: SignedIn) -> JsonObject:
        return _model_object(_find_model(appliance, model_id))

    @routes.get("/health/live", tags=["health"])
    def live() -> JsonObject:
        return {"object": "health.response", "message": "live", "live": True}

    @routes.get("/health/ready", tags=["health"], responses={503: {"description": "Not ready yet"}})
    def ready() -> JSONResponse:
        readiness = appliance.readiness()
        message = "ready" if readiness.ready else readiness.detail
        body = {"object": "health.response", "message": message, "ready": readiness.ready}
        return JSONResponse(body, status_code=200 if readiness.ready else 503)

    add_metrics(routes, appliance)

    @routes.api_route("/{rest:path}", methods=ANY_METHOD, include_in_schema=False)
    def nothing_here(rest: str, request: Request) -> None:
        _refuse_route(routes, rest, request)

    return routes


def _find_model(appliance: Appliance, name: str) -> ServedModel:
    found = next((model for model in appliance.models() if model.id == name), None)
    if found is None:
        raise unknown_model(name)
    return found


def _model_object(model: ServedModel) -> JsonObject:
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owned_by}


def _pieces(appliance: Appliance, body: ChatRequest, identity: Identity, cancel: CancelToken) -> Iterator[Piece]:
    model = _find_model(appliance, body.model)
    if model.answers_from_documents and body.use_knowledge_base:
        question, history = body.question()
        events = appliance.answer(
            question, identity=identity, collection=body.collection, mode=body.mode, history=history, cancel=cancel
        )
        return pieces_of_answer(events, with_citations=body.enable_citations)
    deltas = appliance.chat(
        [message.plain() for message in body.messages],
        identity=identity,
        model=_language_model(appliance, model),
        max_tokens=body.reply_tokens,
        # Without a wish: the same question, the same reply.
        temperature=body.temperature or 0.0,
        stop=body.stops,
        cancel=cancel,
    )
    return pieces_of_chat(deltas)


def _language_model(appliance: Appliance, model: ServedModel) -> str:
    """The id to ask the bare language model by; the one that answers from documents stands for whichever answers."""
    if all(served.answers_from_documents for served in appliance.models()):
        raise ApiError(400, "No language model is served: use_knowledge_base must be true.", param="use_knowledge_base")
    return model.id


def _refuse_route(routes: APIRouter, rest: str, request: Request) -> None:
    """405 with `Allow` where the path exists for other methods, else 404: Gradio, mounted below, knows neither."""
    allowed: set[str] = set()
    for route in routes.routes:
        if route.matches(request.scope)[0] is Match.PARTIAL:
            allowed |= getattr(route, "methods", None) or set()
    if allowed:
        names = ", ".join(sorted(allowed))
        raise HTTPException(405, f"{request.method} is not allowed here; use {names}.", headers={"Allow": names})
    raise HTTPException(404, f"There is no /v1/{rest}; GET /openapi.json lists what there is.")
