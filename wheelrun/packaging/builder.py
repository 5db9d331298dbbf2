"""From a project to its wheel: scan, look in the cache, else copy, guard, build, verify and keep."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from wheelrun.errors import ConfigurationError, PackagingError
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.guard import check_size
from wheelrun.packaging.layout import missed_modules
from wheelrun.packaging.project import Layout, PackageSettings, Project, load_project
from wheelrun.packaging.secrets import RULES_VERSION
from wheelrun.packaging.snapshot import Excluded, Tree, copy_tree, digest_tree, scan
from wheelrun.packaging.walk import TreeChangedError
from wheelrun.packaging.wheel import PACKAGING_VERSION, Wheel

_TRIES = 10  # so often a project that changes while it is read is read again


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """A built project.

    Attributes:
        wheel: The project's wheel.
        also: The wheels of the sibling projects of `also`, in that order.
        cached: Whether nothing had to be built.
        excluded: What was left out, and by which rule.
        shipped: The wheel's files, without its dist-info.
        warnings: What the user should know.
        seconds: How long it took.
    """

    wheel: Wheel
    also: tuple[Wheel, ...] = ()
    cached: bool
    excluded: tuple[Excluded, ...] = ()
    shipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


def build(
    project: Project,
    cache: WheelCache,
    *,
    allow_secrets: Collection[str] = (),
    isolated: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> BuildResult:
    """Return the project's wheel and those of its siblings, from the cache if their trees are unchanged.

    Args:
        project: What to build.
        cache: Where wheels are kept.
        allow_secrets: Paths or globs that the secret guard lets through, beside those of the settings.
        isolated: Whether a project's own backend gets an environment made from an index.
        clock: Tells seconds.

    Raises:
        PackagingError: The wheel could not be made; see its subclasses.
        ConfigurationError: A setting cannot be honoured.
    """
    started = clock()
    siblings = _siblings(project)
    first, *others = [
        _build_one(each, cache, allow=(*each.settings.allow_secrets, *allow_secrets), isolated=isolated)
        for each in (project, *siblings)
    ]
    own_info = f"{first.wheel.name}-{first.wheel.version}.dist-info/"
    return replace(
        first,
        also=tuple(other.wheel for other in others),
        cached=first.cached and all(other.cached for other in others),
        shipped=tuple(name for name in first.wheel.files if not name.startswith(own_info)),
        warnings=(
            *first.warnings,
            *(
                f"{sibling.name}: {warning}"
                for sibling, other in zip(siblings, others, strict=True)
                for warning in other.warnings
            ),
        ),
        seconds=clock() - started,
    )


def _siblings(project: Project) -> list[Project]:
    """Load the projects that `also` names, each with its own settings. They bring no siblings of theirs."""
    if not project.settings.also:
        return []
    from wheelrun.config import load_settings

    siblings: list[Project] = []
    known = {project.distribution: project.root}
    for given in project.settings.also:
        root = (project.root / given).resolve()
        if not root.is_dir():
            raise ConfigurationError(
                f"[tool.wheelrun.package] also names {given!r}, which is not a folder: {root}",
                hint="Name the folders of sibling projects, relative to the project's root.",
            )
        own = PackageSettings(**asdict(load_settings(root).package))
        sibling = load_project(root, replace(own, also=()))
        if sibling.distribution in known:
            raise ConfigurationError(
                f"{root} and {known[sibling.distribution]} are both called {sibling.distribution}",
                hint="Give one of them another name in its [project] table.",
            )
        known[sibling.distribution] = root
        siblings.append(sibling)
    return siblings


def _build_one(project: Project, cache: WheelCache, *, allow: Collection[str], isolated: bool) -> BuildResult:
    for _ in range(_TRIES):
        with suppress(TreeChangedError):  # an editor or a checkout took a file away at this moment
            return _build_now(project, cache, allow=allow, isolated=isolated)
    return _build_now(project, cache, allow=allow, isolated=isolated)


def _build_now(project: Project, cache: WheelCache, *, allow: Collection[str], isolated: bool) -> BuildResult:
    tree = scan(project)
    if project.layout is not Layout.BACKEND:
        check_size(((entry.path, entry.size) for entry in tree.entries), project.settings.max_size)
    scm_version = _scm_version(project)
    digest = digest_tree(tree)
    wheel = cache.get(_key(project, digest, allow, scm_version))
    cached = wheel is not None
    if wheel is None:
        wheel = _make(tree, cache, allow=allow, isolated=isolated, scm_version=scm_version)
    warnings = tree.warnings
    if project.layout is Layout.BACKEND:
        warnings += missed_modules(tree.entries, wheel.files, f"{project.backend} does not ship")
    return BuildResult(wheel=wheel, cached=cached, excluded=tree.excluded, warnings=warnings)


def _make(tree: Tree, cache: WheelCache, *, allow: Collection[str], isolated: bool, scm_version: str | None) -> Wheel:
    """Build the wheel in a private copy, which is removed in any case, and keep it."""
    from wheelrun.packaging.assemble import add_setup_py, backend_wheel, generated_wheel
    from wheelrun.packaging.wheel import verify_record

    project = tree.project
    with temporary_folder() as folder:
        out = folder / "wheel"
        out.mkdir()
        # A backend's output names the folder: let it be one that the user knows.
        snapshot = copy_tree(tree, folder / "source" / project.distribution)
        # The copy tells what is built: files may have changed since they were hashed.
        key = _key(project, snapshot.digest, allow, scm_version)
        if project.layout is Layout.BACKEND:
            path = backend_wheel(snapshot, out, allow=allow, isolated=isolated, scm_version=scm_version)
        else:
            add_setup_py(snapshot)
            path = generated_wheel(snapshot, out, allow=allow)
        verify_record(path)
        return cache.put(key, path, {"digest": snapshot.digest, "project": str(project.root)})


def _key(project: Project, digest: str, allow: Collection[str], scm_version: str | None) -> str:
    """Return the cache's key: everything that decides the wheel's bytes or whether it may be made."""
    facts: tuple[object, ...] = (PACKAGING_VERSION, RULES_VERSION, digest, sorted(set(allow)))
    if project.layout is Layout.BACKEND:
        # Its wheel may be for this Python and this machine, and its size is known only when it is there.
        facts += (
            project.backend,
            sys.version_info[:2],
            os.uname().machine,
            scm_version,
            project.settings.max_size,
        )
    return hashlib.sha256(repr(facts).encode("utf-8", "backslashreplace")).hexdigest()


def _scm_version(project: Project) -> str | None:
    """Ask the repository's tags for the version, where no file declares one."""
    if project.layout is not Layout.BACKEND or project.version != "0.0.0":
        return None
    from wheelrun.packaging.backend import in_repository, tagged_version

    if version := tagged_version(project.root):
        return version
    # A repository without tags (a shallow clone has none): the copy has no repository to count commits in.
    return project.version if in_repository(project.root) else None


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a private folder that is removed when the `with` block ends.

    Raises:
        PackagingError: It cannot be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="wheelrun-", ignore_cleanup_errors=True)
    except OSError as error:
        raise PackagingError(
            f"no temporary folder can be made: {error.strerror}",
            hint="Make room in the temporary folder, or name another one with TMPDIR.",
        ) from error
    with folder as name:
        yield Path(name)
