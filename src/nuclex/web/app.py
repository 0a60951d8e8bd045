"""The API as an application: what is asked at which address, and a sentence for everything that is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from nuclex import __version__
from nuclex.core.errors import InputError, one_line, shown
from nuclex.web import messages
from nuclex.web.desk import Desk
from nuclex.web.jobs import FullError, Job
from nuclex.web.manual import STYLE, manual
from nuclex.web.static import page_files, read_page_file

PREFIX = "/api/v1"
SUMMARIES = {
    "predict": "Probabilities of all words at each place",
    "fold": "Secondary structures",
    "embed": "A map of sequences by the model's vectors",
    "mutate": "Every single substitution of one sequence",
    "codons": "Codons of one coding sequence and their synonyms",
    "compare": "Two bundles, letter by letter",
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": messages.Refusal, "description": "The request is wrong: what, where and what is allowed"},
    403: {"model": messages.Refusal, "description": "The request comes from the page of another site"},
    404: {"model": messages.Refusal, "description": "There is no such thing, or it is forgotten"},
    408: {"model": messages.Refusal, "description": "The request came too slowly"},
    413: {"model": messages.Refusal, "description": "The request is too large"},
    415: {"model": messages.Refusal, "description": "The request is not JSON"},
    421: {"model": messages.Refusal, "description": "The server does not go by the name it was asked by"},
    429: {"model": messages.Refusal, "description": "Too many jobs wait already"},
}
JobName = Annotated[str, Path(description="the name that the question was answered with")]
FileName = Annotated[str, Path(description="of the job's list of files")]
EVERYWHERE: dict[int | str, dict[str, Any]] = {status: _REFUSALS[status] for status in (400, 403, 408, 413, 415, 421)}


class Api(FastAPI):
    """FastAPI whose description leaves out the answer 422, which is never given: what does not fit is answered 400."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = super().openapi()
        for ways in document["paths"].values():
            for operation in ways.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        return document


def make_app(desk: Desk) -> FastAPI:
    """The API of a desk, and the page; when the application ends, so do the jobs."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        desk.jobs.close()

    app = Api(
        title="nuclex serve",
        version=__version__,
        description="A question is posted and becomes a job; the job is asked for until it is done.",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=EVERYWHERE,
    )
    _add_refusals(app)
    _add_questions(app, desk)
    _add_jobs(app, desk)
    _add_files(app, desk)
    _add_pages(app)
    return app


def _add_refusals(app: FastAPI) -> None:
    def answer(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
        async def refuse(_: Request, error: Exception) -> Response:
            return JSONResponse({"error": one_line(str(error), 1000)}, status)

        return refuse

    async def other(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": one_line(str(error.detail), 300)}, error.status_code, error.headers)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return JSONResponse({"error": _explained(error)}, 400)

    app.add_exception_handler(InputError, answer(400))
    app.add_exception_handler(FullError, answer(429))
    app.add_exception_handler(HTTPException, other)
    app.add_exception_handler(RequestValidationError, invalid)


def _explained(error: RequestValidationError) -> str:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return f"body: is not JSON: {one_line(str(first.get('ctx', {}).get('error', '')), 100)}"
    where = ".".join(str(part) for part in first["loc"][1:]) or "body"
    name = one_line(repr(where)[1:-1], 60)
    found = "" if first["type"] in ("missing", "extra_forbidden") else f", found {shown(first.get('input'), 60)}"
    return f"{name}: {one_line(first['msg'], 200)}{found}"


def _add_questions(app: FastAPI, desk: Desk) -> None:
    @app.get(f"{PREFIX}/about", summary="What is served here", tags=["about"])
    def about() -> messages.About:
        return messages.About.model_validate(desk.about)

    refusals: dict[int | str, dict[str, Any]] = {429: _REFUSALS[429]}

    def add(kind: messages.Kind, question: type[messages.Request]) -> None:
        def ask(body: messages.Request) -> messages.Accepted:
            job = desk.ask(kind, body)
            return messages.Accepted(job=job.token, state=job.state, position=desk.jobs.position(job))

        ask.__annotations__["body"] = question
        app.post(
            f"{PREFIX}/{kind}",
            status_code=202,
            summary=SUMMARIES[kind],
            description=desk.described(kind),
            name=kind,
            operation_id=kind,
            responses=refusals,
            tags=["questions"],
        )(ask)

    add("predict", messages.Question)
    add("fold", messages.Question)
    add("embed", messages.Question)
    add("mutate", messages.OneQuestion)
    add("codons", messages.CodonQuestion)
    add("compare", messages.Comparison)


def _add_jobs(app: FastAPI, desk: Desk) -> None:
    missing: dict[int | str, dict[str, Any]] = {404: _REFUSALS[404]}

    def told(job: Job) -> Response:
        facts = {
            "job": job.token,
            "kind": job.kind,
            "state": job.state,
            "position": desk.jobs.position(job),
            "done": job.done,
            "total": job.total,
            "seconds": round(job.seconds, 3),
            "seconds_left": None if job.seconds_left is None else round(job.seconds_left, 1),
            "error": job.error,
        }
        content = json.dumps(facts)[:-1].encode() + b', "result": ' + (job.result or b"null") + b"}"
        return Response(content, media_type="application/json")

    @app.get(f"{PREFIX}/jobs/{{job}}", responses=missing, response_model=messages.Told, tags=["jobs"])
    def state(job: JobName) -> Any:
        """How far a job is, and its result when it is done."""
        return told(_found(desk, job))

    @app.delete(f"{PREFIX}/jobs/{{job}}", responses=missing, response_model=messages.Told, tags=["jobs"])
    def cancel(job: JobName) -> Any:
        """Cancel a job: one that waits at once, one that runs at its next step; one that has ended stays as it is."""
        desk.jobs.cancel(_found(desk, job))
        return told(_found(desk, job))


def _found(desk: Desk, token: str) -> Job:
    job = desk.jobs.find(token)
    if job is None:
        raise HTTPException(404, f"job: there is none called {shown(token, 40)}; results are forgotten after a while")
    return job


def _add_files(app: FastAPI, desk: Desk) -> None:
    missing: dict[int | str, dict[str, Any]] = {404: _REFUSALS[404]}

    @app.get(f"{PREFIX}/jobs/{{job}}/files", responses=missing, tags=["jobs"])
    def files(job: JobName) -> messages.Downloads:
        """Which files a job that is done has."""
        rows = [(name, file.size, file.about) for name, file in _found(desk, job).files.items()]
        return messages.Downloads(files=[messages.Download(name=n, bytes=size, about=about) for n, size, about in rows])

    @app.get(
        f"{PREFIX}/jobs/{{job}}/files/{{name}}",
        responses={**missing, 200: {"content": {kind: {} for kind in desk.media_types}, "description": "The file"}},
        response_class=Response,
        tags=["jobs"],
    )
    def file(job: JobName, name: FileName) -> Response:
        """One file, to be saved."""
        one = _found(desk, job).files.get(name)
        if one is None:
            raise HTTPException(404, f"file: this job has none called {shown(name, 40)}")
        headers = {"content-disposition": f'attachment; filename="{name}"'}  # names are made of A-Za-z0-9._- alone
        return Response(desk.drawn(one), media_type=one.media_type, headers=headers)


def _add_pages(app: FastAPI) -> None:
    pages = page_files()

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return read_page_file(pages, "index.html")

    @app.get("/page/{name:path}", include_in_schema=False)
    def part(name: str) -> Response:
        return read_page_file(pages, name)

    @app.get("/api", include_in_schema=False)
    def readable() -> Response:
        return HTMLResponse(manual(app.openapi()))

    @app.get("/api/style.css", include_in_schema=False)
    def style() -> Response:
        return Response(STYLE, media_type="text/css")
