"""What the page fetches beside Gradio: the side panel's fragments, the picture of a page, and our own assets."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import HTMLResponse, Response

from rag.access import Identity
from rag.appliance import Appliance
from rag.errors import BadInput, Forbidden, NotFound
from web.render_file import render_file
from web.render_source import render_missing, render_source
from web.sign_in import signed_in

ASSETS = Path(__file__).with_name("assets")
SignedIn = Annotated[Identity, Depends(signed_in)]
# Documents may change or be withdrawn, so no browser or proxy keeps what it was shown.
PRIVATE = {"Cache-Control": "private, no-store"}


def source_routes(appliance: Appliance) -> APIRouter:
    """The routes under `/ui`; each asks for the identity, and the appliance decides what that identity may see."""
    routes = APIRouter(prefix="/ui", include_in_schema=False)
    life = secrets.token_urlsafe(8)

    @routes.get("/life")
    def alive() -> Response:
        """Another answer than before tells an open page that the server was started anew."""
        return Response(life, media_type="text/plain", headers=PRIVATE)

    @routes.get("/source/{citation_id}")
    def source(citation_id: str, identity: SignedIn) -> HTMLResponse:
        try:
            found = appliance.source(citation_id, identity=identity)
        # One answer for both, so that nobody learns which ids exist.
        except (NotFound, Forbidden):
            return HTMLResponse(render_missing("This source is no longer kept."), status_code=404, headers=PRIVATE)
        return HTMLResponse(render_source(found), headers=PRIVATE)

    @routes.get("/file")
    def file(collection: str, path: str, identity: SignedIn) -> HTMLResponse:
        try:
            report = appliance.look_up(path, identity=identity, collection=collection)
        except (BadInput, NotFound, Forbidden) as error:
            return HTMLResponse(render_missing(str(error)), status_code=404, headers=PRIVATE)
        return HTMLResponse(render_file(report), headers=PRIVATE)

    @routes.get("/page/{citation_id}.png")
    def page(citation_id: str, identity: SignedIn, width: Annotated[int, Query(ge=200, le=2400)] = 900) -> Response:
        try:
            picture = appliance.page_image(citation_id, identity=identity, width_px=width)
        except (NotFound, Forbidden):
            return Response(status_code=404, headers=PRIVATE)
        return Response(picture, media_type="image/png", headers=PRIVATE)

    return routes
