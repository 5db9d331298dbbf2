"""No live-looking token stands in this file: each is put together when the test runs."""

from __future__ import annotations

import base64
import random
import string
import sys
from pathlib import Path

import pytest

from wheelrun.errors import PackagingError, SecretError
from wheelrun.packaging.secret_files import kind_of
from wheelrun.packaging.secret_rules import RULES
from wheelrun.packaging.secrets import Finding, find_secrets, refuse

INDEX = "index-url"

HEX = "0123456789abcdef"
ALNUM = string.ascii_letters + string.digits
URL = ALNUM + "-_"
B64 = ALNUM + "+/"
UPPER = string.ascii_uppercase + "234567"
BEGIN, END = "-----BEGIN ", "-----END "


def drawn(alphabet: str, length: int, seed: int = 7) -> str:
    """A random text of letters of every kind, the same in each run."""
    source = random.Random(f"{alphabet}{length}{seed}")
    return (
        "aQ7" + "".join(source.choices(alphabet, k=length - 3))
        if alphabet != HEX
        else "".join(source.choices(alphabet, k=length))
    )


def upper(length: int) -> str:
    return "".join(random.Random(length).choices(UPPER, k=length))


def pem(label: str = "RSA PRIVATE KEY", lines: int = 12, seed: int = 1) -> str:
    body = "\n".join(drawn(B64, 64, seed + n) for n in range(lines))
    return f"{BEGIN}{label}-----\n{body}\n{END}{label}-----\n"


def scan(tmp_path: Path, content: str | bytes, name: str = "job.py", **options: list[str]) -> list[Finding]:
    file = tmp_path / "content"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return find_secrets([(name, file)], **options)


def rules(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


SIGNED = "https://x/?sv=2022-11-02&se={}T00:00Z&si" + "g=" + drawn(ALNUM, 43) + "%3D"
AZURITE = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsu" + "Fq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
COSMOS_EMULATOR = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqo" + "bD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="

LIVE = {
    "gcp-service-account-key": '{"private' + '_key": "' + pem("PRIVATE KEY").replace("\n", "\\n") + '"}',
    "private-key": pem(),
    "private-key-base64": "client-key-data: " + base64.b64encode(pem().encode()).decode(),
    "putty-private-key": "PuTTY-User-Key" + "-File-3: ssh-rsa\nEncryption: none\nPrivate-Lines: 14\n" + drawn(B64, 64),
    "age-secret-key": "AGE-SECRET" + "-KEY-1" + upper(58),
    "databricks-token": "token = 'da" + "pi" + drawn(HEX, 32) + "-2'",
    "databricks-oauth-secret": "do" + "se" + drawn(HEX, 32),
    "aws-access-key-id": "key = 'AK" + "IA" + upper(16) + "'",
    "aws-secret-access-key": 'conf.set("fs.s3a.secret' + '.key", "' + drawn(B64, 40) + '")',
    "aws-bedrock-key": "AB" + "SK" + drawn(B64, 120),
    "azure-storage-key": drawn(B64, 76) + "+AS" + "t" + drawn(ALNUM, 6) + "==",
    "azure-cosmos-key": drawn(B64, 76) + "AC" + "Db" + drawn(ALNUM, 6) + "==",
    "azure-account-key": "AccountName=x;Account" + "Key=" + drawn(B64, 86) + "==;",
    "azure-shared-access-signature": SIGNED.format("2999-01-01"),
    "azure-client-secret": "client_secret='" + "ab1" + "8Q" + "~" + drawn(URL, 34) + "'",
    "azure-devops-token": drawn(ALNUM, 76) + "AZ" + "DO" + drawn(ALNUM, 4),
    "gcp-api-key": "AI" + "za" + drawn(URL, 35),
    "gcp-oauth-client-secret": "GOC" + "SPX-" + drawn(URL, 28),
    "gcp-refresh-token": '"1/' + "/0" + drawn(URL, 100) + '"',
    "github-token": "GH = 'gh" + "p_" + drawn(ALNUM, 36) + "'",
    "github-fine-grained-token": "github" + "_pat_" + drawn(ALNUM, 22) + "_" + drawn(ALNUM, 59),
    "gitlab-token": "gl" + "pat-" + drawn(URL, 20),
    "slack-token": "xox" + "b-123456789012-123456789013-" + drawn(ALNUM, 24),
    "slack-app-token": "xap" + "p-1-A0123456789-1234567890123-" + drawn(HEX, 64),
    "slack-webhook": "https://hooks.slack" + ".com/services/T0AB12CD3/B0AB12CD3/" + drawn(ALNUM, 24),
    "discord-webhook": "https://discord.com/api" + "/webhooks/123456789012345678/" + drawn(URL, 68),
    "stripe-live-key": "sk_" + "live_" + drawn(ALNUM, 24),
    "pypi-token": "py" + "pi-AgEI" + "cHlwaS5vcmc" + drawn(URL, 100),
    "npm-token": "np" + "m_" + drawn(ALNUM, 36),
    "rubygems-token": "ruby" + "gems_" + drawn(HEX, 48),
    "docker-hub-token": "dckr" + "_pat_" + drawn(URL, 27),
    "openai-key": "sk" + "-proj-" + drawn(URL, 74) + "T3Blbk" + "FJ" + drawn(URL, 74),
    "openai-user-key": "s" + "k-" + drawn(ALNUM, 48),
    "anthropic-key": "sk" + "-ant-api03-" + drawn(URL, 95),
    "huggingface-token": "h" + "f_" + drawn(string.ascii_letters, 34),
    "sendgrid-key": "S" + "G." + drawn(URL, 22) + "." + drawn(URL, 43),
    "twilio-key": "TWILIO_AUTH" + "_TOKEN = '" + drawn(HEX, 32) + "'",
    "digitalocean-token": "dop" + "_v1_" + drawn(HEX, 64),
    "vault-token": "hv" + "s." + drawn(URL, 95),
    "grafana-token": "gl" + "sa_" + drawn(ALNUM, 32) + "_" + drawn(HEX, 8),
    "new-relic-key": "NR" + "AK-" + upper(27),
    "atlassian-token": "ATA" + "TT3" + drawn(URL, 186),
}


def test_every_rule_has_a_sample():
    assert sorted(LIVE) == sorted(rule.name for rule in RULES)


@pytest.mark.parametrize("name", sorted(LIVE))
def test_finds_live_tokens(name, tmp_path):
    found = scan(tmp_path, f"import os\n\n{LIVE[name]}\n")

    assert rules(found) == [name]
    assert found[0].line >= 3
    assert len(found[0].masked.replace("…", "")) <= 8


@pytest.mark.parametrize("name", sorted(LIVE))
def test_every_token_is_found_wherever_a_window_ends(name, tmp_path, monkeypatch):
    from wheelrun.packaging import secret_scan

    monkeypatch.setattr(secret_scan, "_WINDOW", 10_000)
    for start in (9_990, 10_000 - 8_192, 10_000 - 8_200, 19_995):
        filler = ("x = 1\n" * 4000)[:start]
        found = scan(tmp_path, f"{filler}\n{LIVE[name]}\n" + "y = 2\n" * 3000)

        assert rules(found) == [name]
        assert found[0].line >= filler.count("\n") + 2


def test_names_line_and_masks_the_value(tmp_path):
    token = "da" + "pi" + drawn(HEX, 32)

    assert scan(tmp_path, f"# one\n# two\nTOKEN = '{token}'\n", "jobs/daily.py") == [
        Finding(path="jobs/daily.py", line=3, rule="databricks-token", masked=f"dapi…{token[-4:]}")
    ]


PASSES = {
    "documented AWS key": "aws_access_key_id = AKIAIOSF" + "ODNN7EXAMPLE",
    "documented AWS secret": "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY",
    "azurite's key": f"AccountKey={AZURITE}",
    "cosmos emulator's key": f"AccountKey={COSMOS_EMULATOR}",
    "placeholder": "token = 'dapi<token>' # or ghp_your_token, xoxb-your-token",
    "crossed out": "dapi" + "x" * 32 + " ghp_" + "X" * 36 + " AKIA" + "X" * 16,
    "repeated": "dapi" + "0123456789abcdef" * 2 + " dapi" + "a1" * 16,
    "the alphabet": "ghp_" + ALNUM[:36],
    "from the environment": "aws_secret_access_key = os.environ['AWS_SECRET_ACCESS_KEY']",
    "a git hash after a setting": "secret_key = '" + "9fceb02d0ae598e95dc970b74767f19372d61af8" + "'",
    "a git hash": "rev: 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "a path after a setting": "secret_key = /opt/service/configuration/secrets/one",
    "a lock file's hash": '"integrity": "sha512-' + drawn(B64, 86) + '=="',
    "a pattern": r'PATTERN = re.compile(r"dapi[a-f0-9]{32}|ghp_[0-9a-zA-Z]{36}|AKIA[A-Z2-7]{16}")',
    "a PEM header in code": f'if text.startswith("{BEGIN}RSA PRIVATE KEY-----"):\n    configuration_of_everything()',
    "an elided key": f'KEY = "{BEGIN}RSA PRIVATE KEY-----\\n...\\n{END}RSA PRIVATE KEY-----"',
    "an elided body": f"{BEGIN}PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC...\n{END}PRIVATE KEY-----",
    "a key of dots": f"{BEGIN}PRIVATE KEY-----\n" + "A" * 64 + f"\n{END}PRIVATE KEY-----",
    "both labels": f'LABELS = ("{BEGIN}PRIVATE KEY-----", "{END}PRIVATE KEY-----")',
    "a public key": pem("PUBLIC KEY"),
    "a certificate": pem("CERTIFICATE"),
    "an expired signature": SIGNED.format("2023-01-01"),
    "a signed link's key id": "?X-Amz-Credential=AK" + "IA" + upper(16) + "%2F20200101",
    "a test key": "sk_test_" + drawn(ALNUM, 24),
    "words": "npm_config_registry hf_transformers_model_name_or_path_for_test glpat- dose dapi",
    "a marked line": "X = 'da" + "pi" + drawn(HEX, 32) + "'  # pragma: allowlist secret",
    "longer than a token": "dapi" + drawn(HEX, 40),
    "inside a word": "md5_da" + "pi" + drawn(HEX, 32) + "ff",
}


@pytest.mark.parametrize("name", sorted(PASSES))
def test_lets_the_honest_pass(name, tmp_path):
    assert scan(tmp_path, PASSES[name] + "\n") == []


@pytest.mark.parametrize(
    "setting",
    [
        "AWS_SECRET_ACCESS_KEY={}",
        "'SecretAccessKey': '{}'",
        "secret_key: str = '{}'",
        "--conf spark.hadoop.fs.s3a.secret.key={}",
        'os.environ["AWS_SECRET_ACCESS_KEY"] = "{}"',
        "aws-secret-key: {}",
    ],
)
def test_finds_aws_secrets_in_any_setting(setting, tmp_path):
    assert rules(scan(tmp_path, setting.format(drawn(B64, 40)))) == ["aws-secret-access-key"]


@pytest.mark.parametrize("label", ["PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"])
def test_finds_keys_in_any_wrapping(label, tmp_path):
    key = pem(label)
    quoted = "KEY = (\n" + "".join(f'    "{line}\\n"\n' for line in key.splitlines()) + ")\n"
    indented = "key: |\n" + "".join(f"  {line}\n" for line in key.splitlines())
    escaped = "KEY = " + repr(key)

    for text in (key, key.replace("\n", "\r\n"), quoted, indented, escaped):
        assert rules(scan(tmp_path, text)) == ["private-key"]


def test_finds_a_key_below_its_header_lines(tmp_path):
    key = pem().replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B\n\n", 1)

    assert rules(scan(tmp_path, key)) == ["private-key"]


def test_reads_utf_16_and_skips_binary(tmp_path):
    text = f"token = da{'pi' + drawn(HEX, 32)}\n"

    assert rules(scan(tmp_path, text.encode("utf-16"))) == ["databricks-token"]
    assert scan(tmp_path, b"\x7fELF\0\0" + text.encode(), "lib.so") == []


NAMED = [
    (".env", "TOKEN=abc\n", "dotenv-file"),
    ("conf/.env", "export DEBUG='1'\n", "dotenv-file"),
    (".env.production", "# x\nDB_HOST=db\n", "dotenv-file"),
    (".env.local", "whatever this is\n", "dotenv-file"),
    (".env.example", "API_KEY=" + drawn(ALNUM, 32), "dotenv-template"),
    ("deploy/prod.env", "PASSWORD=" + drawn(ALNUM, 24), "dotenv-template"),
    (".netrc", "machine h login me password s3cr3t\n", "netrc-password"),
    (".databrickscfg", "[DEFAULT]\nhost = https://x\ntoken = abcdef\n", "databricks-config"),
    (".databrickscfg", "[a]\nclient_secret=abcdef\n", "databricks-config"),
    (".pypirc", "[pypi]\nusername = me\npassword = hunter2\n", "pypirc-password"),
    (".npmrc", "//registry.example/:_authToken=abc123\n", "npmrc-token"),
    (".git-credentials", "https://me:hunter2@github.com\n", "git-credentials"),
    ("pip.conf", f"[global]\n{INDEX} = https://me:hunter2@host/simple\n", "pip-config-password"),
    (".pgpass", "host:5432:db:me:hunter2\n", "database-password"),
    (".my.cnf", "[client]\npassword=hunter2\n", "database-password"),
    ("home/.aws/credentials", "[default]\naws_secret_access_key = short\n", "cloud-credentials"),
    ("application_default_credentials.json", '{"refresh_token": "1//abcdefgh"}', "cloud-credentials"),
    (".dockercfg", '{"auths": {"x": {"auth": "bWU6aHVudGVyMg=="}}}', "docker-login"),
    ("kubeconfig.yaml", "users:\n- user:\n    token: abcdefghijk\n", "kubeconfig-login"),
    ("app/.streamlit/secrets.toml", 'password = "hunter2"\n', "streamlit-secrets"),
    ("id_rsa", f"{BEGIN}RSA PRIVATE KEY-----\nMIIEabc\n", "ssh-private-key"),
    ("ssh/id_ed25519", "garbled", "ssh-private-key"),
    ("certs/server.key", f"{BEGIN}PRIVATE KEY-----\nMIIEvQIBADANBg\n{END}PRIVATE KEY-----\n", "private-key-file"),
    ("certs/Both.PEM", pem("CERTIFICATE") + pem("PRIVATE KEY"), "private-key-file"),
    ("key.der", b"\x30\x82\x01\x00\x02\x01\x00rest", "private-key-file"),
    ("store.p12", b"\x30\x82\x01\x00\x02\x01\x03rest", "key-store"),
    ("store.jks", b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1\0\0\0\1rest", "key-store"),
    ("team.kdbx", b"\x03\xd9\xa2\x9a", "password-database"),
]


@pytest.mark.parametrize(("name", "content", "rule"), NAMED, ids=[f"{n}-{r}" for n, _, r in NAMED])
def test_finds_files_by_name(name, content, rule, tmp_path):
    assert rules(scan(tmp_path, content, name)) == [rule]


JKS_OF_CERTIFICATES = (
    b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1\0\0\0\2\0\2ca" + b"\0" * 8 + b"\0\5X.509\0\0\0\3abc" + b"digest"
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".env", ""),
        (".env", "# nothing yet\n\nTOKEN=\nOTHER=''\n"),
        (".env.example", "API_KEY=<your key>\nPASSWORD=changeme\nDB_PASSWORD=postgres\nSECRET=${SECRET}\nHOST=h\n"),
        (".env.sample", "SECRET_KEY=xxxxxxxxxxxxxxxxxxxxxxxx\nTOKEN_URL=https://a1b2c3.example.com/token12345\n"),
        (".env.template", "TOKEN=your-token-1234567890\n"),
        (".envrc", "layout python3\nexport PYTHONPATH=src\n"),
        ("docker/dev.env", "POSTGRES_PASSWORD=postgres\n"),
        (".netrc", "machine example.org login example-username password example-password"),
        (".databrickscfg", "[DEFAULT]\nhost = https://x\nauth_type = databricks-cli\ntoken = <token>\n"),
        (".pypirc", "[distutils]\nindex-servers = pypi\n[pypi]\nusername = __token__\n"),
        (".npmrc", "//registry.example/:_authToken=${NPM_TOKEN}\nsave-exact=true\n"),
        ("pip.conf", f"[global]\n{INDEX} = https://${{USER}}:${{PASSWORD}}@host/simple\ntimeout = 60\n"),
        ("kubeconfig.yaml", "users:\n- user:\n    tokenFile: /var/run/token\n    exec: {command: aws}\n"),
        ("id_rsa", "ssh-rsa AAAAB3NzaC1yc2E"),
        ("id_rsa", f"{BEGIN}RSA PRIVATE KEY-----\n...\n"),
        ("id_rsa.pub", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDbodyofakey0123"),
        ("ca.pem", pem("CERTIFICATE")),
        ("server.key", f"{BEGIN}RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA...\n{END}RSA PRIVATE KEY-----\n"),
        ("slides.key", b"PK\3\4keynote"),
        ("ca.der", b"\x30\x82\x01\x00\x30\x82\x01\x00"),
        ("truststore.p12", b"\x30\x82\x01\x00\x02\x02\x03rest"),
        ("cas.jks", JKS_OF_CERTIFICATES),
        ("environment.py", "TOKEN = 'abc'\n"),
        (".environment.yml", "TOKEN: abc\n"),
    ],
)
def test_lets_honest_files_pass_by_name(name, content, tmp_path):
    assert scan(tmp_path, content, name) == []


def test_a_live_token_in_a_template_is_found(tmp_path):
    found = scan(tmp_path, "DATABRICKS_HOST=https://x\nPAT=da" + "pi" + drawn(HEX, 32), ".env.example")

    assert rules(found) == ["databricks-token"]


@pytest.mark.parametrize("allow", ["a/.env", "./a/.env", "a", "a/", "*.env", "a/*", "**/.env"])
def test_allows_paths_folders_and_globs(allow, tmp_path):
    assert scan(tmp_path, "A=1", "a/.env", allow=[allow]) == []
    assert rules(scan(tmp_path, "A=1", "b/.env.x", allow=[allow])) == ["dotenv-file"]


def test_allows_a_path_that_looks_like_a_glob(tmp_path):
    assert scan(tmp_path, "A=1", "a[1]/.env", allow=["a[1]/.env"]) == []


def test_keeps_the_order_of_the_files(tmp_path):
    file = tmp_path / "f"
    file.write_text("A=1")

    assert [f.path for f in find_secrets([("b/.env", file), ("a/.env", file)])] == ["b/.env", "a/.env"]


def test_a_file_full_of_tokens_gives_a_hundred(tmp_path):
    text = "".join(f"da{'pi' + drawn(HEX, 32, seed)}\n" for seed in range(300))

    found = scan(tmp_path, text)

    assert [finding.line for finding in found] == list(range(1, 101))


def test_an_unreadable_file_is_named(tmp_path):
    with pytest.raises(PackagingError, match=r"a/b\.py cannot be read") as caught:
        find_secrets([("a/b.py", tmp_path / "missing")])
    assert ".wheelrunignore" in (caught.value.hint or "")


def test_refuse_lists_twenty_and_counts_the_rest():
    findings = [Finding(path=f"f{n}.py", line=n + 1, rule="github-token", masked="ghp_…abcd") for n in range(23)]

    with pytest.raises(SecretError) as caught:
        refuse(findings)

    lines = caught.value.message.splitlines()
    assert lines[0] == "23 secrets would ship in the wheel:"
    assert lines[1] == "  f0.py:1 github-token ghp_…abcd"
    assert lines[-1] == "  … and 3 more"
    assert len(lines) == 22
    hint = caught.value.hint or ""
    assert "--allow-secret f0.py" in hint
    assert 'allow_secrets = ["f0.py"]' in hint
    assert ".wheelrunignore" in hint


def test_a_finding_of_a_whole_file_has_no_line():
    assert str(Finding(path="a.p12", line=0, rule="key-store", masked="")) == "a.p12 key-store"


def test_our_own_sources_hold_no_secret():
    root = Path(__file__).parents[3]
    files = [
        (str(file.relative_to(root)), file)
        for top in ("wheelrun", "tests")
        for file in sorted((root / top).rglob("*.py"))
    ]

    assert find_secrets(files) == []


def test_ordinary_names_are_of_no_kind():
    assert kind_of("a/b.py") is None
    assert kind_of("a/b.yaml") is None
    assert kind_of("keys.json") is None


def test_a_cached_build_compiles_no_pattern():
    import subprocess

    code = "import sys, wheelrun.packaging.secrets; sys.exit('wheelrun.packaging.secret_rules' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
