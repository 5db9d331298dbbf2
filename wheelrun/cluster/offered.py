"""The targets that exist while the cluster is up. Where there is none, to know that costs next to nothing."""

from __future__ import annotations

from collections.abc import Mapping

from wheelrun.config import data_path


def targets(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the tables of the targets `cluster` and `connect`; none while no part of the cluster is alive.

    They hold addresses and the names of the files with the secrets, never a secret. While a part has crashed they are
    still there, so that a run says what does not answer.

    Args:
        environ: Says where wheelrun keeps its data.
    """
    data = data_path(environ)
    if not (data / "cluster").exists():
        return {}
    from wheelrun.cluster.folder import folder_of

    folder = folder_of(data)
    state = folder.read()
    if state is None or not state.ready or not any(folder.is_alive(name) for name in state.names):
        return {}
    root = {"artifact_root": str(data / "artifacts")}
    tables = {
        "cluster": {
            "orchestrator": "spark-standalone",
            "master": state.master,
            "rest": state.rest,
            "web": state.web("master"),
            **({"rest_key_file": str(folder.rest_key)} if state.rest_key else {}),
            **({"python_version": state.python} if state.python else {}),
            **root,
        }
    }
    if state.size.connect:
        tables["connect"] = {
            "orchestrator": "spark-connect",
            "remote": state.remote,
            **({"token_file": str(folder.connect_token)} if state.connect_token else {}),
            **root,
        }
    return tables
