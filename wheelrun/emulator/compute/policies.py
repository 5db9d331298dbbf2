"""Cluster policies: what a cluster may be, attribute by attribute, and what it is where nothing was said.

A policy names attributes by paths: `node_type_id`, `autoscale.max_workers`, `spark_conf.spark.speculation`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import State

KIND = "policy"
_MAPS = ("spark_conf", "spark_env_vars", "custom_tags")
"""Attributes whose keys are not fields: what follows is one key, dots included."""
_VIRTUAL = ("cluster_type", "dbus_per_hour")
_MISSING = object()

Rule = Mapping[str, Any]


def get(state: State, policy_id: str) -> dict[str, Any]:
    """Return a policy.

    Raises:
        ApiError: there is none.
    """
    document = state.get(KIND, policy_id)
    if document is None:
        raise ApiError("RESOURCE_DOES_NOT_EXIST", f"Can't find a cluster policy with id: {policy_id}.")
    return document


def rules(definition: str) -> dict[str, Rule]:
    """Return what a policy's definition says of each attribute.

    Raises:
        ApiError: it cannot be understood.
    """
    try:
        document = json.loads(definition or "{}")
    except ValueError as error:
        raise ApiError("INVALID_PARAMETER_VALUE", f"Policy definition is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise ApiError("INVALID_PARAMETER_VALUE", "Policy definition must be a JSON object")
    for path, rule in document.items():
        kind = str(rule.get("type")) if isinstance(rule, dict) else ""
        if kind not in _NEEDED:
            raise ApiError(
                "INVALID_PARAMETER_VALUE",
                f"Policy definition of {path}: type {kind!r} is not one of {', '.join(_NEEDED)}",
            )
        if missing := [name for name in _NEEDED[kind] if name not in rule]:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Policy definition of {path}: missing {', '.join(missing)}")
    return document


def applied(policy: Mapping[str, Rule], spec: Mapping[str, Any], *, defaults: bool, job: bool) -> dict[str, Any]:
    """Return a cluster's specification with what a policy adds to it.

    Args:
        policy: What it says of each attribute.
        spec: The specification.
        defaults: Whether default values are taken too, and not only fixed ones.
        job: Whether it is a job's cluster.

    Raises:
        ApiError: an attribute is not as the policy wants it.
    """
    result = copy.deepcopy(dict(spec))
    for path, rule in policy.items():
        value = rule.get("value") if rule["type"] == "fixed" else rule.get("defaultValue") if defaults else None
        if value is not None and path not in _VIRTUAL and "*" not in path and _at(result, path) is _MISSING:
            _put(result, path, value)
    virtual = {"cluster_type": "job" if job else "all-purpose"}
    problems = [
        f"Validation failed for {problem}"
        for path, rule in policy.items()
        if path != "dbus_per_hour"
        for place, value in ([(path, virtual[path])] if path in virtual else _matching(result, path))
        if (problem := _problem(place, value, rule))
    ]
    if problems:
        raise ApiError("INVALID_PARAMETER_VALUE", f"Cluster validation error: {'; '.join(problems)}")
    return result


def _problem(path: str, value: Any, rule: Rule) -> str:
    """Return what is wrong with an attribute, and which one it is; empty if nothing is."""
    kind = rule["type"]
    attribute, subject = _named(path)
    if value is _MISSING:
        is_needed = kind not in ("fixed", "forbidden") and not rule.get("isOptional")
        return f"{attribute}, {subject} must be present" if is_needed else ""
    problem = _LIMITS[kind](value, rule)
    return f"{attribute}, {subject} {problem} (is {json.dumps(_text(value))})" if problem else ""


def _named(path: str) -> tuple[str, str]:
    """Return an attribute and what a message calls the value: of a setting or tag, its own name."""
    top, rest = path.partition(".")[::2]
    return (top, rest) if top in _MAPS and rest else (path, "the value")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _listed(values: Any) -> str:
    return ", ".join(map(_text, values))


def _fixed(value: Any, rule: Rule) -> str:
    return "" if _same(value, rule["value"]) else f"must be {_text(rule['value'])}"


def _forbidden(value: Any, rule: Rule) -> str:
    del value, rule
    return "must not be present"


def _allowlist(value: Any, rule: Rule) -> str:
    fits = any(_same(value, item) for item in rule["values"])
    return "" if fits else f"must be one of {_listed(rule['values'])}"


def _blocklist(value: Any, rule: Rule) -> str:
    fits = not any(_same(value, item) for item in rule["values"])
    return "" if fits else f"must not be one of {_listed(rule['values'])}"


def _regex(value: Any, rule: Rule) -> str:
    fits = re.fullmatch(rule["pattern"], str(value))
    return "" if fits else f"must match {rule['pattern']}"


def _range(value: Any, rule: Rule) -> str:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return "must be a number"
    if "maxValue" in rule and number > rule["maxValue"]:
        return f"must be no greater than {rule['maxValue']}"
    if "minValue" in rule and number < rule["minValue"]:
        return f"must be no less than {rule['minValue']}"
    return ""


def _unlimited(value: Any, rule: Rule) -> str:
    del value, rule
    return ""


_LIMITS: Mapping[str, Callable[[Any, Rule], str]] = {
    "fixed": _fixed,
    "forbidden": _forbidden,
    "allowlist": _allowlist,
    "blocklist": _blocklist,
    "regex": _regex,
    "range": _range,
    "unlimited": _unlimited,
}
"""What is wrong with a value, by the rule's type; empty if nothing is."""

_NEEDED: Mapping[str, tuple[str, ...]] = {
    name: {"fixed": ("value",), "allowlist": ("values",), "blocklist": ("values",), "regex": ("pattern",)}.get(name, ())
    for name in _LIMITS
}
"""What a rule of each type has to say."""


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one: settings are text, whatever a policy writes."""
    return one == other or str(one).lower() == str(other).lower()


def _parts(path: str) -> list[str]:
    top, _, rest = path.partition(".")
    return [top, rest] if top in _MAPS and rest else path.split(".")


def _at(spec: Mapping[str, Any], path: str) -> Any:
    value: Any = spec
    for part in _parts(path):
        if not isinstance(value, Mapping) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _put(spec: dict[str, Any], path: str, value: Any) -> None:
    *above, last = _parts(path)
    for part in above:
        spec = spec.setdefault(part, {})
    spec[last] = str(value) if above and above[0] in _MAPS else value


def _matching(spec: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Yield the attributes that a path names: with `*`, each item of a list."""
    before, star, after = path.partition(".*")
    if not star:
        yield path, _at(spec, path)
        return
    items = _at(spec, before)
    for index, item in enumerate(items if isinstance(items, list) else []):
        yield f"{before}.{index}{after}", _at(item, after.lstrip("."))
