"""The picture of a task graph: where each task stands, and the lines between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NODE_WIDTH, NODE_HEIGHT = 180, 44
_GAP_X, _GAP_Y, _MARGIN = 56, 18, 4
_LONGEST_LABEL = 22  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A task in the picture.

    Attributes:
        key: The task's key.
        label: The key, cut to fit.
        word: Its state.
        kind: How it is coloured: "good", "bad", "active" or "idle".
        href: Where a click leads; empty for nowhere.
        x: How far from the left.
        y: How far from the top.
    """

    key: str
    label: str
    word: str
    kind: str
    href: str
    x: int
    y: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The picture.

    Attributes:
        nodes: The tasks.
        edges: The lines, as an SVG path has them.
        width: Its width.
        height: Its height.
        node_width: The width of a task.
        node_height: The height of a task.
    """

    nodes: Sequence[Node]
    edges: Sequence[str]
    width: int
    height: int
    node_width: int = NODE_WIDTH
    node_height: int = NODE_HEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What is to be drawn of a task.

    Attributes:
        upstream: The keys of the tasks that it depends on.
        word: Its state.
        kind: How it is coloured.
        href: Where a click leads.
    """

    upstream: Sequence[str]
    word: str = ""
    kind: str = "idle"
    href: str = ""


def drawn(task: Mapping[str, Any], **look: str) -> Drawn:
    """Return what is to be drawn of a task of a job's settings."""
    return Drawn(upstream=[item["task_key"] for item in task.get("depends_on", [])], **look)


def picture(tasks: Mapping[str, Drawn]) -> Picture:
    """Return the picture of tasks, each to the right of all that it depends on.

    Args:
        tasks: The tasks by key, in the order in which those of a column stand.
    """
    columns = _columns({key: [name for name in task.upstream if name in tasks] for key, task in tasks.items()})
    heights: dict[int, int] = {}
    nodes = {}
    for key, task in tasks.items():
        column = columns[key]
        row = heights.get(column, 0)
        heights[column] = row + 1
        nodes[key] = Node(
            key=key,
            label=key if len(key) <= _LONGEST_LABEL else f"{key[: _LONGEST_LABEL - 1]}…",
            word=task.word,
            kind=task.kind,
            href=task.href,
            x=_MARGIN + column * (NODE_WIDTH + _GAP_X),
            y=_MARGIN + row * (NODE_HEIGHT + _GAP_Y),
        )
    edges = [_edge(nodes[name], nodes[key]) for key, task in tasks.items() for name in task.upstream if name in nodes]
    return Picture(
        nodes=list(nodes.values()),
        edges=edges,
        width=2 * _MARGIN + max((node.x + NODE_WIDTH for node in nodes.values()), default=0),
        height=2 * _MARGIN + max((node.y + NODE_HEIGHT for node in nodes.values()), default=0),
    )


def _columns(upstream: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return for each task the length of the longest way to it; settings were checked to have no circle."""
    columns = dict.fromkeys(upstream, 0)
    for _ in upstream:
        following = {key: max((columns[name] + 1 for name in names), default=0) for key, names in upstream.items()}
        if following == columns:
            break
        columns = following
    return columns


def _edge(start: Node, end: Node) -> str:
    x1, y1 = start.x + NODE_WIDTH, start.y + NODE_HEIGHT // 2
    x2, y2 = end.x, end.y + NODE_HEIGHT // 2
    bend = (x1 + x2) // 2
    return f"M{x1} {y1}C{bend} {y1} {bend} {y2} {x2} {y2}"
