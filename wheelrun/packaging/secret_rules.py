"""What a live credential looks like: one table of token formats, and what makes a match a real one.

The formats are the issuers' own (a fixed prefix, an alphabet, a length). A match alone is not enough: honest
repositories are full of documented example keys, placeholders and elided samples, so every rule ends in a
check that the value is random enough to be somebody's. A rule that cannot be that certain (a JWT, a bare
40-digit hex string, a password in an assignment) has no place here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from itertools import pairwise

Match = re.Match[bytes]

_SEQUENCES = (
    b"qwertyuiop",
    b"asdfghjkl",
    b"deadbeef",
    b"cafebabe",
    b"123456",
    b"abcdef",
    b"987654",
    b"fedcba",
)
_WORDS = re.compile(
    rb"example|sample|dummy|fake|placeholder|change|your|xxxx|redact|insert|replace|todo|test|mock|secret|token"
    rb"|passw|notreal|invalid|foobar|bogus|hidden|masked",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(
    rb"^[<\[{(].*[>\]})]$|^\W*$|^[x*.#_-]+$|\$[{(A-Za-z_]|\{\{|%\(|%[A-Z_]+%|\.\.\.|environ|getenv|xxxx"
    rb"|^(?:none|null|true|false|tbd|n/a)$"
    rb"|example|placeholder|change[-_ ]?(?:me|this|it)|your|dummy|fake|redact|replace|insert|sample|todo",
    re.IGNORECASE,
)
# Keys that their makers document for everybody (storage and database emulators), as digests so that nobody's
# scanner trips over this file.
_PUBLIC_KEYS = frozenset(
    {
        "ed967197261c16a9",
        "eaa6a9190faf5587",
    }
)


def entropy(value: bytes) -> float:
    """Return the Shannon entropy of `value` in bits per character."""
    total = len(value)
    return -sum(n / total * math.log2(n / total) for n in Counter(value).values()) if total else 0.0


def is_template(value: bytes) -> bool:
    """Whether a setting's value stands for another one: `<token>`, `${VAR}`, `changeme`, `xxxx`, nothing."""
    return _TEMPLATE.search(value.strip()) is not None


def is_random(body: bytes, bits: float) -> bool:
    """Whether `body` could have been drawn by chance: no words, no repetition, no rows of the keyboard.

    Args:
        body: The part of a token behind its prefix.
        bits: The least entropy per character; a sample of that alphabet and length hardly ever goes below.
    """
    if entropy(body) < bits or _WORDS.search(body):
        return False
    if hashlib.sha256(body).hexdigest()[:16] in _PUBLIC_KEYS:
        return False
    if (body + body).find(body, 1) < len(body) or re.search(rb"(.)\1{5}", body):
        return False
    lowered = body.lower()
    steps = sum(1 for a, b in pairwise(lowered) if b - a == 1)
    return steps * 10 < len(body) * 3 and not any(row in lowered for row in _SEQUENCES)


def _random(bits: float) -> Callable[[Match], bool]:
    return lambda match: is_random(match[1], bits)


def _mixed(bits: float) -> Callable[[Match], bool]:
    """Random, with upper case, lower case and a digit: a path, a hash or a sentence is none of it."""
    kinds = (re.compile(rb"[a-z]"), re.compile(rb"[A-Z]"), re.compile(rb"[0-9]"))
    return lambda match: all(kind.search(match[1]) for kind in kinds) and is_random(match[1], bits)


_PEM_GAP = re.compile(rb"(?:\\[nrt]|\\u000[aAdD]|[\s\"'`,;|>#*()\\]|\+(?=\s*[\"'\n]))*")
_PEM_FIELD = re.compile(rb"(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|MessageID):[^\n\\]*")
_PEM_RUN = re.compile(rb"[A-Za-z0-9+/=]+")
_PEM_HEADER = rb"-----BEGIN ((?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?)-----"
_PEM_LEAST = 64  # the shortest private key there is (Ed25519 as PKCS #8), in base64


def pem_body(data: bytes, start: int) -> bytes:
    """Return the base64 text that follows a PEM header at once, across line ends, escapes and quotes."""
    body, end = b"", min(len(data), start + 4096)
    while start < end:
        gap = _PEM_GAP.match(data, start, end)
        start = gap.end() if gap else start
        run = _PEM_FIELD.match(data, start, end) if not body else None
        if run is None:
            run = _PEM_RUN.match(data, start, end)
            if run is None:
                break
            body += run[0]
        start = run.end()
    return body


def is_key_body(body: bytes, least: int = _PEM_LEAST) -> bool:
    """Whether the text under a PEM header is key material and not an elided sample."""
    if len(body) < least or re.search(rb"example|placeholder|redacted|x{8}", body, re.IGNORECASE):
        return False
    return entropy(body[:2048]) >= min(4.0, math.log2(len(body)) - 1.2)


def _pem(match: Match) -> bool:
    return is_key_body(pem_body(match.string, match.end()))


def _encoded_pem(match: Match) -> bool:
    """Base64 over a whole PEM file, as kubeconfigs and Kubernetes secrets hold it."""
    text = match[1][: len(match[1]) // 4 * 4]
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    header = re.match(_PEM_HEADER, decoded)
    return header is not None and is_key_body(pem_body(decoded, header.end()))


def _sas(match: Match) -> bool:
    """A shared access signature is a secret only with its version and expiry beside it, and until then."""
    around = match.string[max(0, match.start() - 400) : match.end() + 400]
    expiry = re.search(rb"\bse=(\d{4}-\d\d-\d\d)", around)
    if expiry is None or re.search(rb"\bsv=20\d\d-", around) is None:
        return False
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d").encode()
    return expiry[1] >= today and is_random(match[1], 3.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRule:
    """One format.

    Attributes:
        name: What a finding calls it.
        literals: Texts of which every match holds at least one; looked for first, all rules' at once.
        pattern: The format; group 1 is the secret, or the part of it that must be random.
        check: What makes a match a live one.
        reach: How far before a literal the match may begin.
    """

    name: str
    literals: tuple[bytes, ...]
    pattern: bytes
    check: Callable[[Match], bool]
    reach: int = 0


def _rule(name: str, literals: str, pattern: bytes, check: Callable[[Match], bool], *, reach: int = 0) -> TokenRule:
    words = tuple(word.encode() for word in literals.split(" | "))
    return TokenRule(name=name, literals=words, pattern=pattern, check=check, reach=reach)


_NOT_IN_WORD = rb"(?<![A-Za-z0-9_])"
_NOT_IN_TOKEN = rb"(?<![A-Za-z0-9_-])"
_END = rb"(?![A-Za-z0-9_])"
# What stands between a setting's name and its value.
_GIVEN = rb"[\w.\-]{0,80}[\"'\])]{0,2}\s{0,4}(?::\s?\w{1,9}\s)?(?:=>|:=|[=:,>])\s{0,4}[bru]?[\"']?"

RULES: tuple[TokenRule, ...] = (
    _rule("gcp-service-account-key", '"private_key"', rb'"private_key"\s*:\s*"' + _PEM_HEADER, _pem),
    _rule("private-key", "PRIVATE KEY", _PEM_HEADER, _pem, reach=64),
    _rule(
        "private-key-base64",
        "LS0tLS1CRUdJTi",
        rb"(?<![A-Za-z0-9+/])(LS0tLS1CRUdJTi[A-Za-z0-9+/]{80,6000})",
        _encoded_pem,
    ),
    _rule(
        "putty-private-key",
        "PuTTY-User-Key-File-",
        rb"PuTTY-User-Key-File-\d(?s:.){1,2000}?Private-Lines: \d+\s+([A-Za-z0-9+/=]{40,})",
        _random(3.5),
    ),
    _rule("age-secret-key", "AGE-SECRET-KEY-1", rb"AGE-SECRET-KEY-1([0-9A-Z]{58})", _random(3.5)),
    _rule(
        "databricks-token",
        "dapi | dkea",
        _NOT_IN_WORD + rb"(?:dapi|dkea)([0-9a-f]{32})(?:-\d{1,2})?" + _END,
        _random(2.8),
    ),
    _rule("databricks-oauth-secret", "dose", _NOT_IN_WORD + rb"dose([0-9a-f]{32})" + _END, _random(2.8)),
    _rule(
        "aws-access-key-id",
        "AKIA | ASIA",
        _NOT_IN_WORD + rb"(?<!Credential=)(?<!AccessKeyId=)A(?:KI|SI)A([A-Z0-9]{16})" + _END,
        _random(2.75),
    ),
    _rule(
        "aws-secret-access-key",
        "ecret_access_k | ecret_key | ecretAccessK | ecretK | ECRET_ACCESS_K | ECRET_K | ecret.k | ecret-k",
        rb"(?i:secret[_.\-]?(?:access[_.\-]?)?key)" + _GIVEN + rb"([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        _mixed(4.0),
        reach=1,
    ),
    _rule("aws-bedrock-key", "ABSK", _NOT_IN_WORD + rb"ABSK([A-Za-z0-9+/]{109,269})={0,2}", _random(4.5)),
    _rule(
        "azure-storage-key",
        "+ASt",
        rb"(?<![A-Za-z0-9+/])([A-Za-z0-9+/]{76}\+ASt[A-Za-z0-9+/]{5,6})==",
        _mixed(4.5),
        reach=76,
    ),
    _rule(
        "azure-cosmos-key",
        "ACDb",
        rb"(?<![A-Za-z0-9+/])([A-Za-z0-9+/]{76}ACDb[A-Za-z0-9+/]{5,6})==",
        _mixed(4.5),
        reach=76,
    ),
    _rule(
        "azure-account-key",
        "ccountKey | ccount_key | CCOUNT_KEY | ccount.key | haredAccessKey | TORAGE_KEY | torage_key",
        rb"(?i:account[._]?key|shared_?access_?key|storage_key)" + _GIVEN + rb"([A-Za-z0-9+/]{86})==",
        _mixed(4.5),
        reach=1,
    ),
    _rule(
        "azure-shared-access-signature",
        "sig=",
        rb"[?&;]sig=((?:[A-Za-z0-9/+]|%2[fFbB]){43,86})(?:=|%3[dD])",
        _sas,
        reach=1,
    ),
    _rule(
        "azure-client-secret",
        "Q~",
        rb"(?<![A-Za-z0-9_~.\-])([A-Za-z0-9_~.\-]{3}\dQ~[A-Za-z0-9_~.\-]{31,34})(?![A-Za-z0-9_~.\-])",
        _mixed(4.0),
        reach=4,
    ),
    _rule(
        "azure-devops-token",
        "AZDO",
        rb"(?<![A-Za-z0-9])([A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4})(?![A-Za-z0-9])",
        _mixed(4.5),
        reach=76,
    ),
    _rule("gcp-api-key", "AIza", _NOT_IN_TOKEN + rb"AIza([A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])", _mixed(4.0)),
    _rule("gcp-oauth-client-secret", "GOCSPX-", rb"GOCSPX-([A-Za-z0-9_-]{28})(?![A-Za-z0-9_-])", _mixed(3.5)),
    _rule("gcp-refresh-token", "1//0", rb"[\"'\s=:](1//0[A-Za-z0-9_-]{60,200})(?![A-Za-z0-9_-])", _mixed(4.5), reach=1),
    _rule(
        "github-token",
        "ghp_ | gho_ | ghu_ | ghs_ | ghr_",
        _NOT_IN_WORD + rb"gh[opsur]_([A-Za-z0-9]{36,255})" + _END,
        _random(3.6),
    ),
    _rule(
        "github-fine-grained-token",
        "github_pat_",
        _NOT_IN_WORD + rb"github_pat_([A-Za-z0-9]{22}_[A-Za-z0-9]{59})" + _END,
        _random(4.0),
    ),
    _rule(
        "gitlab-token",
        "glpat- | gldt- | glrt- | glptt- | glcbt- | gloas- | glsoat- | glagent-",
        _NOT_IN_TOKEN + rb"gl(?:pat|dt|rt|ptt|cbt|oas|soat|agent)-([A-Za-z0-9_-]{20,300})",
        _random(3.2),
    ),
    _rule(
        "slack-token",
        "xoxb- | xoxp- | xoxa- | xoxr- | xoxs- | xoxe- | xoxe.xox",
        _NOT_IN_TOKEN + rb"(?:xoxe\.)?xox[abeprs]-(?:\d{1,14}-){0,4}([A-Za-z0-9]{20,180})" + _END,
        _random(3.3),
    ),
    _rule(
        "slack-app-token",
        "xapp-",
        _NOT_IN_TOKEN + rb"xapp-\d-[A-Z0-9]{8,14}-\d{8,16}-([0-9a-f]{64})" + _END,
        _random(3.2),
    ),
    _rule(
        "slack-webhook",
        "hooks.slack.com",
        rb"hooks\.slack\.com/(?:services|workflows)/T[A-Z0-9]{7,14}/[AB][A-Z0-9]{7,14}/([A-Za-z0-9/]{22,60})",
        _random(3.5),
    ),
    _rule(
        "discord-webhook",
        "discord.com/api/webhooks | discordapp.com/api/webhooks",
        rb"discord(?:app)?\.com/api/webhooks/\d{17,20}/([A-Za-z0-9_-]{60,80})",
        _mixed(4.0),
    ),
    _rule(
        "stripe-live-key",
        "sk_live_ | rk_live_",
        _NOT_IN_WORD + rb"[rs]k_live_([A-Za-z0-9]{24,255})" + _END,
        _random(3.5),
    ),
    _rule(
        "pypi-token",
        "pypi-AgE",
        rb"pypi-(AgE(?:IcHlwaS5vcmc|NdGVzdC5weXBpLm9yZ)[A-Za-z0-9_-]{50,1000})",
        _mixed(4.0),
    ),
    _rule("npm-token", "npm_", _NOT_IN_WORD + rb"npm_([A-Za-z0-9]{36})" + _END, _mixed(3.6)),
    _rule("rubygems-token", "rubygems_", _NOT_IN_WORD + rb"rubygems_([0-9a-f]{48})" + _END, _random(3.0)),
    _rule("docker-hub-token", "dckr_pat_", _NOT_IN_WORD + rb"dckr_pat_([A-Za-z0-9_-]{27,80})", _mixed(3.6)),
    _rule(
        "openai-key",
        "T3BlbkFJ | sk-proj- | sk-svcacct- | sk-admin-",
        _NOT_IN_TOKEN
        + rb"sk-((?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,250}|[A-Za-z0-9_-]{16,90}T3BlbkFJ[A-Za-z0-9_-]{16,90})",
        _mixed(4.0),
        reach=110,
    ),
    _rule("openai-user-key", "sk-", _NOT_IN_TOKEN + rb"sk-([A-Za-z0-9]{48})(?![A-Za-z0-9_-])", _mixed(4.0)),
    _rule(
        "anthropic-key",
        "sk-ant-",
        _NOT_IN_TOKEN + rb"sk-ant-(?:[a-z]{3,8}\d\d-)([A-Za-z0-9_-]{80,120})(?![A-Za-z0-9_-])",
        _mixed(4.0),
    ),
    _rule(
        "huggingface-token",
        "hf_ | api_org_",
        _NOT_IN_WORD + rb"(?:hf|api_org)_([A-Za-z0-9]{34})" + _END,
        lambda m: m[1].lower() != m[1] and is_random(m[1], 3.6),
    ),
    _rule(
        "sendgrid-key",
        "SG.",
        _NOT_IN_TOKEN + rb"SG\.([A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])",
        _mixed(4.0),
    ),
    _rule(
        "twilio-key",
        "twilio | Twilio | TWILIO",
        rb"(?i:twilio[\w. ]{0,30}?(?:token|secret|key))" + _GIVEN + rb"(?-i:SK)?([0-9a-f]{32})" + _END,
        _random(2.8),
    ),
    _rule(
        "digitalocean-token",
        "dop_v1_ | doo_v1_ | dor_v1_",
        rb"do[opr]_v1_([0-9a-f]{64})" + _END,
        _random(3.2),
    ),
    _rule("vault-token", "hvs. | hvb.", _NOT_IN_TOKEN + rb"hv[bs]\.([A-Za-z0-9_-]{90,300})", _mixed(4.0)),
    _rule("grafana-token", "glsa_", _NOT_IN_WORD + rb"glsa_([A-Za-z0-9]{32})_[0-9a-fA-F]{8}" + _END, _mixed(3.6)),
    _rule("new-relic-key", "NRAK-", _NOT_IN_TOKEN + rb"NRAK-([A-Z0-9]{27})" + _END, _random(3.2)),
    _rule("atlassian-token", "ATATT3", _NOT_IN_TOKEN + rb"ATATT3([A-Za-z0-9_=-]{180,300})", _mixed(4.5)),
)


@cache
def compiled(pattern: bytes) -> re.Pattern[bytes]:
    """Compile a rule's pattern when first needed: most builds need two or three of the forty."""
    return re.compile(pattern)
