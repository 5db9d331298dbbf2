"""The pages of runs and jobs, for browsers, and how one signs in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from wheelrun.emulator import pages
from wheelrun.emulator.api.jobs import Jobs
from wheelrun.emulator.api.runs import Runs
from wheelrun.emulator.authentication import cookie, cookie_name
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.identities import identified
from wheelrun.emulator.service import Emulator

_VERSION = "2.1"
"""The version of the interface whose answers hold all tasks of a run."""
_SHOWN = 25

_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    shown = _Pages(emulator)
    return [
        Route("/", shown.of(shown.runs_page), methods=["GET"]),
        Route("/jobs/{id:int}", shown.of(shown.job_page), methods=["GET"]),
        Route("/run/{id:int}", shown.of(shown.run_page), methods=["GET"]),
        Route("/run/{id:int}/log", shown.of(shown.log), methods=["GET"]),
        Route("/cluster/{id}/log", shown.of(shown.driver_log), methods=["GET"]),
        Route("/login", functools.partial(_login, emulator), methods=["GET", "POST"]),
        Route("/login/style.css", _style, methods=["GET"]),
    ]


class _Pages:
    def __init__(self, emulator: Emulator) -> None:
        self._runs, self._jobs = Runs(emulator), Jobs(emulator)
        self._records = emulator.engine.records
        self._clusters, self._drivers = emulator.compute.clusters, emulator.state.drivers

    def of(self, make: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def answered(request: Request) -> Response:
            try:
                return await run_in_threadpool(make, request)
            except ApiError as error:
                return HTMLResponse(pages.problem_page(error.message), error.status, headers=_HEADERS)

        return answered

    def runs_page(self, request: Request) -> Response:
        token = request.query_params.get("page")
        runs = self._runs.list(_VERSION, {"limit": _SHOWN, **({"page_token": token} if token else {})})
        older = f"/?page={quote(runs['next_page_token'])}" if "next_page_token" in runs else ""
        jobs = self._jobs.list(_VERSION, {"limit": _SHOWN})
        return HTMLResponse(pages.runs_page(runs["runs"], jobs["jobs"], older=older), headers=_HEADERS)

    def job_page(self, request: Request) -> Response:
        identity = request.path_params["id"]
        job = self._jobs.get(_VERSION, {"job_id": identity})
        runs = self._runs.list(_VERSION, {"limit": _SHOWN, "job_id": identity})
        return HTMLResponse(pages.job_page(job, runs["runs"]), headers=_HEADERS)

    def run_page(self, request: Request) -> Response:
        fields = {"run_id": request.path_params["id"]}
        run = self._runs.get(_VERSION, {**fields, "include_history": True})
        is_task = run["job_run_id"] != run["run_id"]
        output = self._runs.get_output(_VERSION, fields) if is_task else None
        return HTMLResponse(pages.run_page(run, output), headers=_HEADERS)

    def log(self, request: Request) -> Response:
        identity = request.path_params["id"]
        self._runs.get(_VERSION, {"run_id": identity})
        return _text(self._records.folder(identity) / "output")

    def driver_log(self, request: Request) -> Response:
        identity = self._clusters.get(request.path_params["id"])["cluster_id"]
        return _text(self._drivers / identity / "output", otherwise="No task on this cluster has used Spark yet.\n")


def _text(file: Path, *, otherwise: str = "") -> Response:
    if not file.is_file():
        return PlainTextResponse(otherwise, headers=_HEADERS)
    return FileResponse(file, media_type="text/plain; charset=utf-8", headers=_HEADERS)


async def _login(emulator: Emulator, request: Request) -> Response:
    """Take the token, from a form or from the address that `up` prints, and give a cookie for it."""
    fields = dict(request.query_params)
    if request.method == "POST":
        async with request.form() as form:
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
    following = _local(fields.get("next", "/"))
    if "token" not in fields:
        return HTMLResponse(pages.login_page(following=following, refused=False), headers=_HEADERS)
    try:
        identified(emulator.state, fields["token"].strip())
    except ApiError:
        return HTMLResponse(pages.login_page(following=following, refused=True), 403, headers=_HEADERS)
    response = RedirectResponse(following, 303, headers=_HEADERS)
    response.set_cookie(cookie_name(emulator.state), cookie(emulator.state), httponly=True, samesite="strict")
    return response


async def _style(_: Request) -> Response:
    return Response(pages.style(), media_type="text/css", headers={**_HEADERS, "cache-control": "max-age=60"})


def _local(path: str) -> str:
    """Return a path of this server; the first page, where the text would lead elsewhere."""
    good = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if good else "/"
