"""The interactive documentation. Its pages and scripts come from here, so it works offline."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from hostler.errors import NotFoundError
from hostler.keys import Scope
from hostler.server.auth import needs

_ASSETS = Path(__file__).parent / "assets"
_MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "swagger.js": "text/javascript",
    "redoc.standalone.js": "text/javascript",
    "redoc.css": "text/css",
}
"""The files that are served; a name that is not here is not looked for."""

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
"""Both viewers write style attributes; nothing else of theirs needs more than our own files."""

_SWAGGER_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Hostler</title><link rel="stylesheet" href="docs/assets/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script><script src="docs/assets/swagger.js"></script></body>
</html>
"""
_REDOC_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Hostler</title><link rel="stylesheet" href="docs/assets/redoc.css"></head>
<body><redoc spec-url="openapi.json"></redoc>
<script src="docs/assets/redoc.standalone.js"></script></body>
</html>
"""

router = APIRouter(include_in_schema=False, dependencies=[needs(Scope.READ)])


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    document: dict[str, Any] = request.app.openapi()
    return JSONResponse(document)


@router.get("/docs")
async def swagger() -> Response:
    return _page(_SWAGGER_PAGE)


@router.get("/redoc")
async def redoc() -> Response:
    return _page(_REDOC_PAGE)


@router.get("/docs/assets/{name}")
async def asset(name: str) -> Response:
    if name not in _MEDIA_TYPES:
        raise NotFoundError("no such asset")
    return FileResponse(_ASSETS / name, media_type=_MEDIA_TYPES[name], headers={"cache-control": "max-age=86400"})


def _page(html: str) -> Response:
    headers = {"content-security-policy": _CSP, "referrer-policy": "no-referrer", "cache-control": "no-cache"}
    return HTMLResponse(html, headers=headers)
