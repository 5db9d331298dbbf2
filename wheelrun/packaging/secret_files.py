"""Files that are a secret by their name: which they are, and how to see that one is empty or public.

A name says where to look, the content decides: a `.netrc` whose password is `example`, a certificate in a
`.pem`, a `.databrickscfg` that logs in through the browser are nobody's secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wheelrun.packaging.secret_rules import is_key_body, is_random, is_template, pem_body

Found = tuple[int, bytes]  # 1-based line (0: the whole file) and the value
Check = Callable[[bytes], Iterator[Found]]

_SETTING = re.compile(
    rb"^[ \t]*(?:export[ \t]+|set[ \t]+)?[\"']?([\w.:/-]+)[\"']?[ \t]*[=:][ \t]*(.*?)[ \t]*,?[ \t]*\r?$",
    re.MULTILINE,
)
_SENSITIVE = re.compile(
    rb"(?:secret|token|passw|pwd|pass$|api_?key|access_?key|private_?key|_auth)"
    rb"(?!.*(?:file|path|ur[il]|name|type|id|expir\w*|ttl|length|dir)$)",
    re.IGNORECASE,
)
_NETRC = re.compile(rb"\b(?:password|passwd)\s+(\S+)")
_URL_LOGIN = re.compile(rb"[a-z][a-z0-9+.-]*://[^\s/:@]*:([^\s/@]+)@")
_DOCKER_AUTH = re.compile(rb'"(?:auth|identitytoken|password)"\s*:\s*"([A-Za-z0-9+/=._-]{8,})"')
_JSON_LOGIN = re.compile(
    rb'"(?:refresh_?token|client_secret|private_key|secret|access_?token)"\s*:\s*"([^"]{8,})"', re.IGNORECASE
)
_PRIVATE_HEADER = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_DER_KEY = re.compile(rb"\x30(?:[\x00-\x7f]|\x80|\x81.|\x82..|\x83...)\x02\x01[\x00\x01\x03]", re.DOTALL)


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _whole(data: bytes) -> Iterator[Found]:
    if data.strip():
        yield 0, b""


def _any_setting(data: bytes) -> Iterator[Found]:
    """The first setting that has a value, or the file itself if it is in no form that is known here."""
    settings = [match for match in _SETTING.finditer(data) if _plain(match[2])]
    if settings:
        worst = next((match for match in settings if _SENSITIVE.search(match[1])), settings[0])
        yield _line(data, worst.start(1)), _plain(worst[2])
    elif not _SETTING.search(data) and any(
        line.strip() and not line.lstrip().startswith((b"#", b";")) for line in data.splitlines()
    ):
        yield 0, b""


def _plain(value: bytes) -> bytes:
    """A setting's value without its quotes or the comment behind it."""
    if value[:1] in (b'"', b"'"):
        return value[1:].partition(value[:1])[0]
    return b"" if value.startswith((b"#", b";")) else re.split(rb"\s+[#;]", value, maxsplit=1)[0]


def _sensitive_settings(data: bytes) -> Iterator[Found]:
    for match in _SETTING.finditer(data):
        value = _plain(match[2])
        if _SENSITIVE.search(match[1]) and value and not is_template(value):
            yield _line(data, match.start(1)), value


def _random_settings(data: bytes) -> Iterator[Found]:
    """In a template only a value that was drawn by chance is somebody's."""
    for line, value in _sensitive_settings(data):
        mixed = re.search(rb"[0-9]", value) and re.search(rb"[A-Za-z]", value)
        if mixed and len(value) >= 16 and not re.search(rb"\s|://", value) and is_random(value, 3.3):
            yield line, value


def _values(pattern: re.Pattern[bytes]) -> Check:
    def check(data: bytes) -> Iterator[Found]:
        for match in pattern.finditer(data):
            if not is_template(match[1]):
                yield _line(data, match.start(1)), match[1]

    return check


def _pgpass(data: bytes) -> Iterator[Found]:
    for number, line in enumerate(data.splitlines(), 1):
        password = line.rpartition(b":")[2].strip()
        if line.count(b":") >= 4 and not line.startswith(b"#") and password and not is_template(password):
            yield number, password


def _key(data: bytes) -> Iterator[Found]:
    """Key material in a file that is named like one: a short body will do, an elided one will not."""
    for match in _PRIVATE_HEADER.finditer(data):
        block = data[match.end() : match.end() + 16_384].partition(b"-----END")[0]
        if b"..." not in block and is_key_body(pem_body(data, match.end()), least=8):
            yield _line(data, match.start()), b""
    if _DER_KEY.match(data):
        yield 0, b""


def _ssh_key(data: bytes) -> Iterator[Found]:
    """`id_rsa` and its kin hold nothing else, unless they say so."""
    found = list(_key(data))
    yield from found
    text = data.strip()
    public = text.startswith((b"ssh-", b"ecdsa-", b"sk-"))
    if not found and text and not public and not is_template(text[:400]):
        yield 0, b""


def _keystore(data: bytes) -> Iterator[Found]:
    """A Java key store, or any other form of one, unless it is a JKS of certificates only."""
    if data.strip() and not _only_certificates(data):
        yield 0, b""


def _only_certificates(data: bytes) -> bool:
    """Walk a JKS: magic, version and count; then for each entry tag, alias, time, type and certificate."""
    if data[:4] != b"\xfe\xed\xfe\xed":
        return False
    count, at = int.from_bytes(data[8:12], "big"), 12
    for _ in range(count):
        if data[at : at + 4] != b"\x00\x00\x00\x02":
            return False
        at += 4
        at += 2 + int.from_bytes(data[at : at + 2], "big") + 8
        at += 2 + int.from_bytes(data[at : at + 2], "big")
        at += 4 + int.from_bytes(data[at : at + 4], "big")
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """A kind of file.

    Attributes:
        name: What a finding calls it.
        globs: Lower-case file names, or paths if they hold a slash; the first kind that fits is taken.
        check: Yields what is secret in the content.
    """

    name: str
    globs: tuple[str, ...]
    check: Check


def _named(name: str, globs: str, check: Check) -> NamedFile:
    return NamedFile(name=name, globs=tuple(globs.split()), check=check)


NAMED_FILES: tuple[NamedFile, ...] = (
    _named("dotenv-file", ".env", _any_setting),
    _named(
        "dotenv-template",
        ".env*example* .env*sample* .env*template* .env*.dist .env*.tpl .env*.tmpl .env*.default"
        " .env*.defaults .env*.schema example.env sample.env template.env *.env .envrc*",
        _random_settings,
    ),
    _named("dotenv-file", ".env.* .env-* .env_*", _any_setting),
    _named("netrc-password", ".netrc _netrc", _values(_NETRC)),
    _named("databricks-config", ".databrickscfg .databrickscfg.*", _sensitive_settings),
    _named("pypirc-password", ".pypirc", _sensitive_settings),
    _named("npmrc-token", ".npmrc", _sensitive_settings),
    _named("git-credentials", ".git-credentials", _values(_URL_LOGIN)),
    _named("pip-config-password", "pip.conf pip.ini", _values(_URL_LOGIN)),
    _named("database-password", ".pgpass", _pgpass),
    _named("database-password", ".my.cnf", _sensitive_settings),
    _named("cloud-credentials", "*/.aws/credentials */.aws/config .s3cfg .boto .passwd-s3fs", _sensitive_settings),
    _named(
        "cloud-credentials",
        "application_default_credentials.json */.azure/accesstokens.json */.azure/msal_token_cache.json"
        " */.azure/service_principal_entries.json accesstokens.json msal_token_cache.json",
        _values(_JSON_LOGIN),
    ),
    _named("docker-login", ".dockercfg .dockerconfigjson */.docker/config.json", _values(_DOCKER_AUTH)),
    _named(
        "kubeconfig-login",
        "kubeconfig *.kubeconfig kubeconfig.y*ml kubeconfig.json */.kube/config",
        _sensitive_settings,
    ),
    _named("streamlit-secrets", "*/.streamlit/secrets.toml", _sensitive_settings),
    _named("ssh-private-key", "id_rsa id_dsa id_ecdsa id_ed25519 id_ecdsa_sk id_ed25519_sk", _ssh_key),
    _named("public-certificates", "*trust*.p12 *trust*.pfx *trust*.jks cacerts*.jks cacerts*.p12", _key),
    _named("key-store", "*.p12 *.pfx *.jks *.jceks *.keystore *.bks", _keystore),
    _named("private-key-file", "*.pem *.key *.der *.pk8 *.p8", _key),
    _named("password-database", "*.kdbx *.kdb", _whole),
)

# Most of a tree is told apart by its ending alone; the others pay for one search over all globs.
_ORDINARY = (
    ".py",
    ".pyi",
    ".ipynb",
    ".sql",
    ".csv",
    ".md",
    ".rst",
    ".txt",
    ".html",
    ".js",
    ".css",
    ".parquet",
)


def _pattern() -> re.Pattern[str]:
    def one(glob: str) -> str:
        return re.escape(glob.removeprefix("*/")).replace(r"\*", "[^/]*")

    kinds = ("|".join(one(glob) for glob in kind.globs) for kind in NAMED_FILES)
    return re.compile("(?:^|/)(?:" + "|".join(f"({kind})" for kind in kinds) + ")$")


_PATTERN = _pattern()


def kind_of(path: str) -> NamedFile | None:
    """Return the kind of file that a root-relative posix path names, or None for an ordinary one."""
    name = path[path.rfind("/") + 1 :].lower()
    if not name.startswith(".") and name.endswith(_ORDINARY):
        return None
    match = _PATTERN.search(path.lower())
    return NAMED_FILES[match.lastindex - 1] if match and match.lastindex else None
