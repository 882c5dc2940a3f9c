"""What happens to a parsed template before it is compiled: guarded links, and the plain text that HTML stands for.

Done on the syntax tree, once a version: filling in the text part then costs a person no more than filling in the HTML,
and a failure still names the author's own line.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.visitor import NodeTransformer

#: Blocks that are plain text in the author's file already.
_WRITTEN_AS_TEXT = frozenset({"subject", "text"})
#: Elements nobody sees.
_UNSEEN = frozenset({"head", "style", "script", "title"})
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_PARAGRAPHS = ("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "pre", "hr")
_BREAKS = {name: "\n\n" for name in _PARAGRAPHS} | {"div": "\n", "br": "\n", "tr": "\n", "td": " "}

_LINK_OPENS = re.compile(r"(?:href|src|action)\s*=\s*[\"']?\s*$", re.IGNORECASE)
_TAG_OPENS = re.compile(r"<(?=[a-zA-Z/!])")
_TAG = re.compile(r"<!--.*?-->|<(?!!--)(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>", re.DOTALL)
_TAG_NAME = re.compile(r"</?([a-zA-Z0-9]+)")
_HREF = re.compile(r"\shref\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.IGNORECASE)
_NOT_DISPLAYED = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_EMPTY_LINES = re.compile(r"\n{3,}")
#: Where the nth expression stood inside a tag: a private character, so that no author can have written it.
_HELD = re.compile("\ue000(\\d+)\ue001")

Piece = nodes.Expr | str


def guard_links(tree: nodes.Template) -> nodes.Template:
    """Put `safe_url` on every expression a link begins with, whether or not the author thought of it."""
    _Links().visit(tree)
    return tree


def as_text(tree: nodes.Template) -> nodes.Template:
    """The same template with its HTML told in plain text: paragraphs, `- ` items, links as `label <address>`."""
    _Text().visit(tree)
    return tree


class _Links(NodeTransformer):
    def __init__(self) -> None:
        self._before = ""

    def visit_Output(self, node: nodes.Output) -> nodes.Output:
        node.nodes = [self._guarded(child) for child in node.nodes]
        return node

    def _guarded(self, child: nodes.Expr) -> nodes.Expr:
        before, self._before = self._before, child.data if isinstance(child, nodes.TemplateData) else ""
        if isinstance(child, nodes.TemplateData) or not _LINK_OPENS.search(before):
            return child
        return nodes.Filter(child, "safe_url", [], [], None, None, lineno=child.lineno)


class _Text(NodeTransformer):
    def __init__(self) -> None:
        self._html = _Html()

    def visit_Block(self, node: nodes.Block) -> nodes.Node | None:
        if node.name in _WRITTEN_AS_TEXT:
            return node
        return None if self._html.hidden else self.generic_visit(node)

    def visit_If(self, node: nodes.If) -> nodes.Node:
        if self._html.inside_link_tag:
            problem = "the text part cannot follow a condition inside a link's tag: choose with {{ a if b else c }}"
            raise jinja2.TemplateSyntaxError(problem, node.lineno)
        return self.generic_visit(node)

    def visit_Output(self, node: nodes.Output) -> nodes.Output:
        node.nodes = [self._node(piece, child.lineno) for child in node.nodes for piece in self._pieces(child)]
        return node

    def _pieces(self, child: nodes.Expr) -> Iterator[Piece]:
        if isinstance(child, nodes.TemplateData):
            return self._html.written(child.data)
        return self._html.filled(child)

    def _node(self, piece: Piece, line: int) -> nodes.Expr:
        return nodes.TemplateData(piece, lineno=line) if isinstance(piece, str) else piece


class _Html:
    """Reads HTML piece by piece in the order of the file, and answers what of each piece a text keeps."""

    def __init__(self) -> None:
        self.hidden = ""
        self._depth = 0
        self._tag_so_far = ""
        self._held: list[nodes.Expr] = []
        self._links: list[list[Piece]] = []

    @property
    def inside_link_tag(self) -> bool:
        """True between `<a` and its `>`."""
        return re.match(r"<a\s", self._tag_so_far, re.IGNORECASE) is not None

    def filled(self, expression: nodes.Expr) -> Iterator[Piece]:
        """An expression of the template: kept where people read it, held back inside a tag."""
        if self._tag_so_far:
            self._tag_so_far += f"\ue000{len(self._held)}\ue001"
            self._held.append(expression)
        elif not self.hidden:
            yield expression

    def written(self, data: str) -> Iterator[Piece]:
        """Markup as the author wrote it."""
        data, self._tag_so_far = self._tag_so_far + data, ""
        while opens := _TAG_OPENS.search(data):
            yield from self._words(data[: opens.start()])
            tag = _TAG.match(data, opens.start())
            if tag is None:
                self._tag_so_far = data[opens.start() :]
                return
            yield from self._tag(tag[0])
            data = data[tag.end() :]
        yield from self._words(data)

    def _words(self, text: str) -> Iterator[str]:
        if text and not self.hidden:
            yield html.unescape(re.sub(r"\s+", " ", text)).replace("\xa0", " ")

    def _tag(self, tag: str) -> Iterator[Piece]:
        named = _TAG_NAME.match(tag)
        name, closing = named[1].lower() if named else "", tag.startswith("</")
        if self.hidden:
            self._still_hidden(name, closing)
        elif not closing and name not in _VOID and (name in _UNSEEN or _NOT_DISPLAYED.search(tag)):
            self.hidden, self._depth = name, 1
        elif name == "a":
            yield from self._link(tag, closing)
        elif name == "li":
            yield "\n" if closing else "\n- "
        else:
            yield _BREAKS.get(name, "")
        self._held = []

    def _still_hidden(self, name: str, closing: bool) -> None:
        if name == self.hidden:
            self._depth += -1 if closing else 1
            self.hidden = name if self._depth else ""

    def _link(self, tag: str, closing: bool) -> Iterator[Piece]:
        if not closing:
            self._links.append(self._address(tag))
        elif self._links and (address := self._links.pop()):
            yield " <"
            yield from address
            yield ">"

    def _address(self, tag: str) -> list[Piece]:
        href = _HREF.search(tag)
        value = html.unescape(next(filter(None, href.groups()), "")) if href else ""
        parts: list[Any] = _HELD.split(value)
        # re.split puts the captured numbers at the odd places.
        pieces = (self._held[int(part)] if at % 2 else part for at, part in enumerate(parts))
        return [piece for piece in pieces if piece != ""]


def tidy(text: str) -> str:
    """A filled text without the traces of its markup: no spaces at the ends of lines, one empty line at most."""
    lines = "\n".join(line.strip(" \t\r") for line in text.split("\n"))
    return _EMPTY_LINES.sub("\n\n", lines).strip()
