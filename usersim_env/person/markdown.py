"""An agent's words as the page shows them: agents write Markdown, and people should not have to read its signs.

Only what structures a text is rendered: emphasis, lists, tables and code. No HTML passes through, no image is
loaded. A link is its words with its address behind them, as text, so that no agent can send a person
anywhere with a click.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

_RULES = "list table fence backticks emphasis newline escape link".split()
_PLAIN = {"paragraph_open", "paragraph_close", "inline", "text", "softbreak", "hardbreak", "text_special"}
_LONGEST = 20_000  # characters; a longer text is shown as it was written


@lru_cache(maxsize=2048)
def message_html(text: str) -> str | None:
    """A message of an agent as HTML; ``None`` where there is nothing in it that would look different."""
    if len(text) > _LONGEST:
        return None
    tokens = _MARKDOWN.parse(text)
    if {token.type for token in _all(tokens)} <= _PLAIN and "\\" not in text:
        return None
    for token in _all(tokens):
        token.attrs.pop("style", None)  # of a table's cells; the page allows no style but its own
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def _all(tokens: Sequence[Token]) -> list[Token]:
    return [found for token in tokens for found in (token, *(token.children or ()))]


def _link_open(*_: Any) -> str:
    return ""


def _link_close(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]
) -> str:
    opening = next(i for i in range(index, -1, -1) if tokens[i].type == "link_open")
    address = str(tokens[opening].attrs.get("href", ""))
    words = "".join(token.content for token in tokens[opening + 1 : index])
    return "" if words == address else _escaped(f" ({address})")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


_MARKDOWN = MarkdownIt("zero", {"html": False, "breaks": True}).enable(_RULES)
_MARKDOWN.add_render_rule("link_open", _link_open)
_MARKDOWN.add_render_rule("link_close", _link_close)
