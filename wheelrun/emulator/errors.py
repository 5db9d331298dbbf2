"""What the emulator answers when it does not do what it was asked: the codes and the shape of the real service."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"

STATUSES = {
    "BAD_REQUEST": 400,
    "DIRECTORY_NOT_EMPTY": 400,
    "DIRECTORY_PROTECTED": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "INVALID_STATE": 400,
    "IO_ERROR": 400,
    "MALFORMED_REQUEST": 400,
    "MAX_BLOCK_SIZE_EXCEEDED": 400,
    "MAX_NOTEBOOK_SIZE_EXCEEDED": 400,
    "MAX_READ_SIZE_EXCEEDED": 400,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "ENDPOINT_NOT_FOUND": 404,
    "FEATURE_DISABLED": 404,
    "NOT_FOUND": 404,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ALREADY_EXISTS": 409,
    "RESOURCE_ALREADY_EXISTS": 400,
    "RESOURCE_CONFLICT": 409,
    "INTERNAL_ERROR": 500,
    "TEMPORARILY_UNAVAILABLE": 503,
}
"""The HTTP status of each error code."""


class ApiError(Exception):
    """A refusal.

    Args:
        code: One of `STATUSES`.
        message: What is wrong, in a sentence.
        status: The HTTP status, where it is not the code's usual one.
        reason: What clients tell it from others of its code by, where the service says so.
    """

    def __init__(self, code: str, message: str, *, status: int | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUSES[code] if status is None else status
        self.reason = reason

    def table(self) -> dict[str, Any]:
        """Return the answer's body."""
        body: dict[str, Any] = {"error_code": self.code, "message": self.message}
        if self.reason is not None:
            body["details"] = [{"@type": _ERROR_INFO, "reason": self.reason, "domain": "emulator"}]
        return body


def answer(error: ApiError) -> JSONResponse:
    """Return an error as the real service answers it."""
    return JSONResponse(error.table(), status_code=error.status)
