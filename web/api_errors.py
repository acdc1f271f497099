"""Every error of the HTTP API in OpenAI's shape, `{"error": {"message", "type", "param", "code"}}`, with its status."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from models.cancellation import Cancelled
from models.errors import EngineRefused, EngineUnavailable, ModelError, UnknownModel
from rag.errors import BadInput, Forbidden, NotFound, OwnerBusy, RagError, UnknownCollection

log = logging.getLogger(__name__)

CANCELLED_STATUS = 499
FAILED_STATUS = {"cancelled": CANCELLED_STATUS, "engine_unavailable": 503, "engine_refused": 502, "bad_input": 400}


class ApiError(Exception):
    """An error that knows its status. `code` is for programs, `param` names the field of the request at fault."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param

    def body(self) -> dict[str, object]:
        kind = "invalid_request_error" if self.status < 500 else "api_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        return JSONResponse(self.body(), status_code=self.status)


def unknown_model(name: str) -> ApiError:
    return ApiError(
        404,
        f"The model {name!r} does not exist; GET /v1/models lists those that do.",
        code="model_not_found",
        param="model",
    )


def failure(code: str, message: str) -> ApiError:
    """The error for a `Failed` event."""
    return ApiError(FAILED_STATUS.get(code, 500), message, code=code)


def as_api_error(error: Exception) -> ApiError:
    """The error that a client sees for one of ours; what is not ours is a 500 that says nothing of the inside."""
    match error:
        case ApiError():
            return error
        case UnknownCollection():
            return ApiError(404, str(error), code=error.code, param="collection_names")
        case RagError():
            return ApiError(_rag_status(error), str(error), code=error.code)
        case UnknownModel():
            return ApiError(404, str(error), code="model_not_found", param="model")
        case EngineUnavailable():
            return ApiError(503, str(error), code="engine_unavailable")
        case EngineRefused():
            # An engine's 400 is the caller's doing (a prompt too long, say); its other errors are ours to answer for.
            return ApiError(400 if error.status == 400 else 502, str(error), code=error.code or "engine_refused")
        case ModelError():
            return ApiError(500, str(error), code="internal_error")
        case Cancelled():
            return ApiError(CANCELLED_STATUS, "The request was cancelled.", code="cancelled")
    log.error("request failed: %s", type(error).__name__, exc_info=error)
    return ApiError(500, "Lectern failed to answer; its log says why.", code="internal_error")


def _rag_status(error: RagError) -> int:
    match error:
        case NotFound():
            return 404
        case Forbidden():
            return 403
        case BadInput():
            return 400
        case OwnerBusy():
            return 503
    return 500


def _invalid(error: RequestValidationError) -> ApiError:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ApiError(400, "The body is not valid JSON.", code="invalid_json")
    place = [part for part in first["loc"] if part not in ("body", "path", "query", "header")]
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    return ApiError(400, f"{name or 'body'}: {first['msg']}", code="invalid_value", param=name or None)


def install_errors(app: FastAPI) -> None:
    """Let `app` answer with these shapes, whatever is raised in its routes."""

    async def on_invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return _invalid(error).response()

    async def on_http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
        response = ApiError(error.status_code, str(error.detail), code=code).response()
        response.headers.update(error.headers or {})
        return response

    async def on_any(_: Request, error: Exception) -> JSONResponse:
        return as_api_error(error).response()

    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    for kind in (ApiError, RagError, ModelError, Cancelled):
        app.add_exception_handler(kind, on_any)
    # The edge of the process towards HTTP: anything else is a bug, answered with a 500 and logged.
    app.add_exception_handler(Exception, on_any)
