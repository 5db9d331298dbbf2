"""What a Python has of the client of Spark Connect, and what a server says of itself, asked in a process of its own."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from wheelrun.errors import WheelrunError
from wheelrun.runtime.connect_server import HURRY, Server, differs, make_importable, missing, patience, release
from wheelrun.runtime.remote import REMOTE


def main() -> int:
    """Write the answer as JSON. Arguments: "missing" or "probe"; a probe finds the server in the environment."""
    answer: dict[str, Any]
    if sys.argv[1] == "missing":
        answer = {"missing": missing()}
    else:
        try:
            answer = probe()
        except WheelrunError as error:
            answer = {"error": error.message, "hint": error.hint}
    sys.stdout.write(json.dumps(answer))
    return 0


def probe() -> dict[str, Any]:
    """Return the version of the server that the environment names, and what is to be said of it (nothing: "").

    Raises:
        WheelrunError: there is no server, or it gives no session.
    """
    server = Server(os.environ)
    server.reach()
    make_importable()
    from pyspark.sql.connect.session import SparkSession

    try:
        session = SparkSession.builder.remote(os.environ[REMOTE]).create()
        try:
            with patience(session.client, HURRY):
                version = session.version
        finally:
            release(session)
    except Exception as error:  # noqa: BLE001 - whatever it is, there is no session
        raise server.refusal(error) from None
    return {"version": version, "differs": differs(version)}
