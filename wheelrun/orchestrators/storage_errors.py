"""What went wrong with a storage, in a sentence: the errors of fsspec's implementations as wheelrun's own.

Each implementation raises what its SDK raises: OSErrors, HTTP errors, classes of its own. They are told apart by the
names of their classes and by their codes, along the chain of causes, so that no SDK need be imported.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from wheelrun.errors import SubmissionError
from wheelrun.runtime.masking import MASK

BEYOND_THE_END = frozenset({"InvalidRange", "416", "RequestedRangeNotSatisfiable"})
"""Marks of a read that starts behind the end of a file."""

NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "InvalidBucketName"})
"""Marks of a root that is not there."""

GIVE_CREDENTIALS = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
    "abfs": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_CONNECTION_STRING",
    "hdfs": "kinit",
}
"""How each kind of storage is given credentials, by fsspec's first name for it."""

_OTHERWISE = {
    "": "is artifact_root what it should be?",
    "hdfs": "set JAVA_HOME and HADOOP_HOME, and CLASSPATH to what `hadoop classpath --glob` prints",
}
_CREDENTIALS = "{credentials}"
_MESSAGE_LIMIT = 300
_CHAIN_LIMIT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    """A kind of error: what to say of it, what to do about it, and by which marks it is known."""

    what: str
    hint: str
    marks: frozenset[str]


def _trouble(what: str, hint: str, marks: str) -> _Trouble:
    return _Trouble(what=what, hint=hint, marks=frozenset(marks.split()))


# The first row that fits is told: what is said of an error's cause says more than what is said of the error.
_TROUBLES = (
    _Trouble(
        what="there is no such bucket", hint="make the bucket, or set artifact_root to another one", marks=NO_BUCKET
    ),
    _trouble(
        "this machine's clock is wrong", "set the clock; the storage refuses requests from other times",
        "RequestTimeTooSkewed",
    ),
    _trouble("there is no such profile", "set AWS_PROFILE to one that is configured", "ProfileNotFound"),
    _trouble(
        "no credentials were found", _CREDENTIALS,
        "NoCredentialsError PartialCredentialsError CredentialRetrievalError NoAuthTokenError"
        " TokenRetrievalError SSOTokenLoadError DefaultCredentialsError CredentialUnavailableError",
    ),
    _trouble(
        "the credentials are refused", f"are they the right ones, and still valid? {_CREDENTIALS}",
        "InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken InvalidToken TokenRefreshRequired RefreshError"
        " UnauthorizedSSOTokenError ClientAuthenticationError AuthenticationFailed InvalidClientTokenId 401",
    ),
    _trouble(
        "access is denied", f"let these credentials read, write, list and delete there, or use others: {_CREDENTIALS}",
        "PermissionError AccessDenied AllAccessDisabled Forbidden 403 AuthorizationFailure"
        " AuthorizationPermissionMismatch",
    ),
    _trouble(
        "it is in another region", "set AWS_REGION to the bucket's",
        "PermanentRedirect AuthorizationHeaderMalformed IllegalLocationConstraintException 301",
    ),
    _trouble(
        "there is no room left", "free some space, or set artifact_root", "ENOSPC EDQUOT EntityTooLarge"
    ),
    _trouble(
        "it did not answer in time", "can it be reached from here? try again, or set artifact_root",
        "TimeoutError ConnectTimeoutError ReadTimeoutError FSTimeoutError RequestTimeout ServiceResponseTimeoutError",
    ),
    _trouble(
        "it is overloaded", "try again in a while", "SlowDown ServiceUnavailable TooManyRequests ServerBusy 429 503"
    ),
    _trouble(
        "it cannot be reached", "is the address right, and is it up? see artifact_root and the endpoint's settings",
        "ConnectionError EndpointConnectionError ConnectionClosedError ClientConnectionError ClientConnectorError"
        " gaierror ServiceRequestError SSLError ProxyConnectionError",
    ),
    _trouble("it is not there", "set artifact_root to a place that is", "FileNotFoundError NoSuchKey 404"),
)  # fmt: skip


def explained(
    error: BaseException, kind: type[SubmissionError], doing: str, protocol: str, secret: str = ""
) -> SubmissionError:
    """Return a storage's error as one of wheelrun's.

    Args:
        error: What was raised.
        kind: What it becomes.
        doing: What could not be done, and where: "s3://bucket/x cannot be written".
        protocol: The kind of storage, by fsspec's first name for it.
        secret: A text that must not be shown, if any.
    """
    found = marks(error)
    for trouble in _TROUBLES:
        if found & trouble.marks:
            hint = trouble.hint.replace(_CREDENTIALS, GIVE_CREDENTIALS.get(protocol, "see the storage's own manual"))
            return kind(f"{doing}: {trouble.what}", hint=hint)
    said = next((line for line in str(error).splitlines() if line.strip()), "").strip()[:_MESSAGE_LIMIT]
    if secret:
        said = said.replace(secret, MASK)
    name = type(error).__name__
    return kind(
        f"{doing}: {name}: {said}" if said else f"{doing}: {name}", hint=_OTHERWISE.get(protocol, _OTHERWISE[""])
    )


def marks(error: BaseException) -> frozenset[str]:
    """Return what an error is known by: the names of its classes and its codes, and those of what caused it."""
    return frozenset(mark for each in _chain(error) for mark in _marks(each))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_CHAIN_LIMIT):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _marks(error: BaseException) -> Iterator[str]:
    for kind in type(error).__mro__:
        yield kind.__name__
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        yield str(response.get("Error", {}).get("Code"))
    for name in ("code", "error_code", "status_code", "status"):  # Google, Azure, aiohttp
        yield str(getattr(error, name, ""))
    if isinstance(error, OSError):
        yield errno.errorcode.get(error.errno or 0, "")
        if str(error).startswith("Forbidden"):  # gcsfs
            yield "Forbidden"
