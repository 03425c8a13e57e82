"""Errors as answers of HTTP: the sentence of the command line as JSON."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from panoptic3d.app.jobs import TooManyError
from panoptic3d.errors import InputError
from panoptic3d.files import is_full_disk


def add_error_answers(app: FastAPI) -> None:
    """422 for wrong input, 429 for too many photos, and 507 for a full disk, and every other error with its own code."""

    @app.exception_handler(InputError)
    async def refuse(request: Request, error: InputError) -> JSONResponse:
        return _error(422, " ".join(str(error).split()))

    @app.exception_handler(TooManyError)
    async def too_many(request: Request, error: TooManyError) -> JSONResponse:
        return _error(429, str(error), {"Retry-After": "10"})

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return _error(422, f"{'.'.join(map(str, first['loc'][1:])) or 'the request'}: {first['msg']}.")

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(cause := error.__cause__, OSError):  # while the form was taken apart
            return _refused_by_system(cause)
        return _error(error.status_code, f"{error.detail}.")

    @app.exception_handler(OSError)
    async def refused_by_system(request: Request, error: OSError) -> JSONResponse:
        return _refused_by_system(error)


def _refused_by_system(error: OSError) -> JSONResponse:
    if is_full_disk(error):
        return _error(507, "the server's disk is full; delete scenes, or try again later.")
    return _error(500, f"the server's system refused ({error.strerror or type(error).__name__}); try again later.")


def _error(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers)
