"""What is remembered of clusters: their specifications, their states, and what happened to them."""

from __future__ import annotations

import secrets
import shutil
import string
import time
from collections.abc import Mapping, Sequence
from typing import Any

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import USER, State

KIND = "cluster"
_EVENTS = "cluster_events"
_MOST_EVENTS = 500
_LETTERS = string.ascii_lowercase + string.digits
_EVENT_OF = {"PENDING": "STARTING", "RUNNING": "RUNNING", "RESTARTING": "RESTARTING"}


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return int(time.time() * 1000)


def unexpected(document: Mapping[str, Any]) -> ApiError:
    """Return the refusal of what cannot be done with a cluster in its state."""
    state = document["state"].title()
    return ApiError("INVALID_STATE", f"Cluster {document['cluster_id']} is in unexpected state {state}.")


class Clusters:
    """The clusters of an emulator.

    A document has the specification as it was asked for, policy applied (`spec`), the `source`, the `state` with its
    message, times, and the libraries that were installed on it.

    Args:
        state: What the emulator remembers.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def add(
        self,
        spec: Mapping[str, Any],
        *,
        source: str,
        serverless: bool = False,
        libraries: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """Remember a new cluster, which is pending, and return its id."""
        stamp = time.strftime("%m%d-%H%M%S", time.gmtime())
        identity = f"{stamp}-{''.join(secrets.choice(_LETTERS) for _ in range(8))}"
        document = {
            "cluster_id": identity,
            "spec": dict(spec),
            "source": source,
            "serverless": serverless,
            "state": "PENDING",
            "state_message": "Starting Spark",
            "start_time": now(),
            "libraries": list(libraries),
        }
        with self._state.transaction():
            self._state.put(KIND, identity, document)
            self.note(identity, "CREATING", {"cause": "USER", "user": USER})
        return identity

    def find(self, cluster_id: str) -> dict[str, Any] | None:
        """Return the document of a cluster, None if there is none."""
        return self._state.get(KIND, cluster_id)

    def get(self, cluster_id: str) -> dict[str, Any]:
        """Return the document of a cluster.

        Raises:
            ApiError: there is none.
        """
        document = self.find(cluster_id)
        if document is None:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Cluster {cluster_id} does not exist")
        return document

    def all(self) -> list[dict[str, Any]]:
        """Return all documents."""
        return self._state.all(KIND)

    def change(self, cluster_id: str, **fields: Any) -> None:
        """Remember something else of a cluster, if it is still known; a new state is an event."""
        with self._state.transaction():
            document = self.find(cluster_id)
            if document is None:
                return
            if (event := _EVENT_OF.get(fields.get("state", ""))) and fields["state"] != document["state"]:
                self.note(cluster_id, event, {})
            self._state.put(KIND, cluster_id, document | fields)

    def terminated(self, cluster_id: str, code: str, kind: str, message: str = "", **parameters: str) -> None:
        """Remember the end of a cluster.

        Args:
            cluster_id: The cluster.
            code: A code of termination: USER_REQUEST, JOB_FINISHED, INTERNAL_ERROR.
            kind: SUCCESS, CLIENT_ERROR or SERVICE_FAULT.
            message: What the state's message is.
            **parameters: What belongs to the code, such as `username`.
        """
        reason = {"code": code, "type": kind, "parameters": parameters}
        with self._state.transaction():
            self.change(
                cluster_id,
                state="TERMINATED",
                state_message=message,
                terminated_time=now(),
                termination_reason=reason,
            )
            self.note(cluster_id, "TERMINATING", {"reason": reason})

    def forget(self, cluster_id: str) -> None:
        """Forget a cluster and what happened to it."""
        shutil.rmtree(self._state.drivers / cluster_id, ignore_errors=True)
        self._state.delete(KIND, cluster_id)
        self._state.delete(_EVENTS, cluster_id)

    def note(self, cluster_id: str, kind: str, details: Mapping[str, Any]) -> None:
        """Remember that something happened to a cluster."""
        with self._state.transaction():
            events = self.events(cluster_id)
            events.append({"cluster_id": cluster_id, "timestamp": now(), "type": kind, "details": dict(details)})
            self._state.put(_EVENTS, cluster_id, {"events": events[-_MOST_EVENTS:]})

    def events(self, cluster_id: str) -> list[dict[str, Any]]:
        """Return what happened to a cluster, the oldest first."""
        document = self._state.get(_EVENTS, cluster_id)
        return list(document["events"]) if document else []
