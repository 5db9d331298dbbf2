"""Where a run's artifacts lie in a workspace: a folder of it, a Volume, or DBFS; as a URL that a record can keep.

    databricks://HOST/Workspace/Users/me@example.com/.wheelrun
    databricks://PROFILE@HOST/Volumes/catalog/schema/volume/folder
    databricks+http://127.0.0.1:8090/dbfs/folder

The URL holds no secret: the profile is a name in ~/.databrickscfg. A task finds the same path mounted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from wheelrun.errors import ConfigurationError

SCHEMES = ("databricks", "databricks+http")
"""The schemes of such URLs; the second is for a server of this machine."""

WORKSPACE, VOLUME, DBFS = "workspace", "volume", "dbfs"

_KINDS = {"Workspace": WORKSPACE, "Volumes": VOLUME, "dbfs": DBFS}
_FEWEST = {WORKSPACE: 1, VOLUME: 3, DBFS: 1}
_HINT = 'set artifact_root to "/Volumes/catalog/schema/volume/folder" or "/Workspace/Users/you@example.com/folder"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder of a workspace.

    Attributes:
        host: The workspace's address, such as "https://dbc-1.cloud.databricks.com"; empty where it is not known yet.
        path: The folder as a task finds it mounted: below /Workspace, /Volumes or /dbfs.
        profile: The profile of ~/.databrickscfg to call it with, if any.
    """

    host: str
    path: str
    profile: str = ""

    @property
    def kind(self) -> str:
        """What it is: "workspace", "volume" or "dbfs"."""
        return _KINDS[self.path.split("/")[1]]

    @property
    def url(self) -> str:
        """The URL."""
        scheme, _, server = self.host.partition("://")
        user = f"{quote(self.profile, safe='')}@" if self.profile else ""
        return f"{SCHEMES[scheme == 'http']}://{user}{server}{quote(self.path, safe='/@+=,~ ')}"

    def library(self, name: str) -> str:
        """Return a file below it as a cluster's library is named."""
        path = f"{self.path}/{name}"
        return f"dbfs:{path.removeprefix('/dbfs')}" if self.kind == DBFS else path

    @classmethod
    def parse(cls, url: str) -> Place:
        """Read a URL.

        Raises:
            ConfigurationError: it names no folder of a workspace.
        """
        parts = urlsplit(url)
        user, at, server = parts.netloc.rpartition("@")
        if ":" in user:
            raise ConfigurationError(
                f"artifact_root {parts.scheme}://{server}{parts.path} holds a password",
                hint="leave it out: name a profile of ~/.databrickscfg, or set DATABRICKS_TOKEN",
            )
        scheme = "http" if parts.scheme == SCHEMES[1] else "https"
        path = folder(unquote(parts.path))
        return cls(host=f"{scheme}://{server}" if server else "", path=path, profile=unquote(user) if at else "")


def folder(text: str) -> str:
    """Return a folder of a workspace in its plain form.

    Args:
        text: "/Workspace/…", "/Volumes/…", "/Users/…" (a workspace folder, too), "dbfs:/…" or "/dbfs/…".

    Raises:
        ConfigurationError: it is none of these, or does not name a folder in one.
    """
    path = re.sub(r"^dbfs:/+(?=Volumes/)", "/", text)
    path = re.sub(r"^dbfs:/*", "/dbfs/", path)
    if re.match(r"/(Users|Shared|Repos)/", path):
        path = f"/Workspace{path}"
    words = path.strip("/").split("/")
    kind = _KINDS.get(words[0]) if path.startswith("/") else None
    if kind is None:
        raise ConfigurationError(f"artifact_root {text!r} is not a folder of a Databricks workspace", hint=_HINT)
    if len(words) <= _FEWEST[kind] or any(word in ("", ".", "..") for word in words):
        raise ConfigurationError(f"artifact_root {text!r} names no folder there", hint=_HINT)
    return "/" + "/".join(words)
