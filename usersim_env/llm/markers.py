"""How models mark their thoughts: the formats that the reasoning parsers of vLLM and SGLang know, as one pattern.

Most formats put a pair of tags around a thought. Some put every part of an answer into a channel, some use plain
words, and many let the thought begin in the prompt, so that only its end is in the answer. Read from
``vllm/reasoning/`` and ``sglang/srt/parser/reasoning_parser.py`` (2026); the models that write a format are named
beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["open", "close", "channel", "words", "end", "empty"]
"""``open`` and ``close`` stand around a thought; ``channel`` begins a part that is a thought (or a call) up to its
``end``; ``words`` begins a part that is meant to be read, up to its ``end``; ``empty`` is a thought of no words."""


class Marker(NamedTuple):
    """A marker of a text: where it stands, and what it means."""

    start: int
    end: int
    kind: Kind


_THOUGHT = r"(?:think(?:ing)?|thoughts?|reasoning|reflections?|scratch_?pad|(?:inner_?)?monologue|analysis|cot)"
# Every repetition is bounded: the texts come from a model, and none may take long to read.
_TAG = (
    # <think> DeepSeek, Qwen, GLM, Kimi K2, Nemotron, Olmo …; <thinking>, <thought> EXAONE, <seed:think> Seed-OSS,
    # <mm:think> MiniMax M3, <think:opensource> Hunyuan, <longcat_think> LongCat, <ifm|think> K2-Horizon,
    # <|think|> the recordings of arXiv:2603.11245, <|think:start|> Solar Open 2, <|plamo:begin_think:plamo|> PLaMo,
    # <|START_THINKING|> Command A, <|begin_of_thought|> Open Thinker. The brackets may be wide or escaped.
    r"(?:<|＜|&lt;)[ \t]{0,8}[|｜]?[ \t]{0,8}(?P<slash>/?)[ \t]{0,8}(?P<before>(?:[a-z0-9]{1,20}[:|_.]){0,3}?)"
    rf"{_THOUGHT}(?P<after>(?:[:_*][a-z0-9]{{0,20}}){{0,3}})"
    r"(?:[ \t]{1,8}[^<>\n]{0,80})?(?P<empty>/?)[ \t]{0,8}[|｜]?[ \t]{0,8}(?:>|＞|&gt;)"
)
_OPEN = r"\[THINK\]|◁think▷|<\|inner_prefix\|>|\[unused16\]"  # Mistral, Kimi-VL, Apertus, Pangu
_CLOSE = r"\[/THINK\]|◁/think▷|<\|inner_suffix\|>|\[unused17\]|<channel\|>|<\|close\|>think<\|sep\|>"
_SPEAKER = r"(?:<\|start\|>[ \t]{0,8}assistant)?[ \t]{0,8}"
_CHANNEL = (
    rf"{_SPEAKER}(?:to=[\w.\-]{{1,80}}[ \t]{{0,8}})?<\|channel\|>[ \t]{{0,8}}(?P<channel>\w{{1,40}})[^<]{{0,120}}"
    r"(?:<\|constrain\|>[^<]{0,40})?<\|message\|>"  # gpt-oss (Harmony)
    rf"|{_SPEAKER}to=(?P<to>[\w.\-]{{1,80}})<\|message\|>"  # Muse
    r"|<\|start\|>[ \t]{0,8}assistant[ \t]{0,8}<\|message\|>"
    r"|<\|channel>(?P<gemma>\w{0,40})\n?"  # Gemma 4
    r"|<\|open\|>(?P<kimi>\w{1,40})<\|sep\|>"  # Kimi K3
    r"|(?:<\|message_model\|>)?<\|content_(?!model_end)(?P<inkling>\w{1,40})\|>"  # Inkling
)
_WORDS = (
    r"<\|START_(?:TEXT|RESPONSE)\|>|<response>|<answer>|\[BEGIN FINAL RESPONSE\]"  # Command A, ERNIE, Hunyuan, Apriel
    r"|<\|begin_of_solution\|>|Here(?:'s|’s| is) my response:"  # Open Thinker, Granite
)
_END = (
    r"<\|(?:end|return|call|eom|eot|END_(?:TEXT|RESPONSE)|end_of_solution|end_message|content_model_end_sampling|"
    r"im_end|eot_id|end_of_text|endoftext|end_of_msg|end_of_turn)\|>"
    r"|</response>|</answer>|\[END FINAL RESPONSE\]|<\|close\|>(?:response|message)<\|sep\|>"
    r"|<end_of_turn>|<turn\|>|<eos>|</s>|\[EOS\]|\[EOT\]|<｜end▁of▁sentence｜>"
)
_PROSE = r"Here(?:'s|’s| is) my thought process:|Here are my reasoning steps:"  # Granite, Apriel: only at the start

_MARKER = re.compile(
    rf"(?P<tag>{_TAG})|(?P<close>{_CLOSE})|(?P<open>{_OPEN})|(?P<part>{_CHANNEL})|(?P<words>{_WORDS})|(?P<end>{_END})",
    re.IGNORECASE,
)
_READ = frozenset({"final", "response", "message", "user", "text"})
"""Channels that are meant to be read."""
_PREFIX = re.compile(rf"\s*(?:{_PROSE}|thought\n)")
# Harmony's channels when the server has left the special tokens out: «analysisWe need to …assistantfinalHello».
_BARE_CHANNEL = re.compile(r"\s*(?:assistant)?(?:analysis|commentary)(?=\s?[A-Z\"'’(<{]|\s*\n)")
_BARE_FINAL = re.compile(r"assistantfinal")
CONTROL = re.compile(r"<[|｜][^|｜<>\s]{1,60}(?:[|｜]>|>)|<[^|<>\s]{1,60}[|｜]>|◁[^◁▷\s]{1,40}▷")
"""What looks like a control token of a chat template, whichever model's."""


def markers(text: str) -> Iterator[Marker]:
    """The markers of a text, in order."""
    found = [Marker(*match.span(), _kind(match)) for match in _MARKER.finditer(text)]
    for pattern in (_PREFIX, _BARE_CHANNEL):
        if (prefix := pattern.match(text)) is not None:
            found = [Marker(0, prefix.end(), "channel"), *(m for m in found if m.start >= prefix.end())]
    found += [Marker(*match.span(), "words") for match in _BARE_FINAL.finditer(text)]
    yield from sorted(found)


def _kind(found: re.Match[str]) -> Kind:
    if found["tag"] is not None:
        if found["empty"]:
            return "empty"
        around = f"{found['before']} {found['after']}".lower()
        return "close" if found["slash"] or re.search(r"\bend|end\b|_end", around) else "open"
    if found["part"] is not None:
        names = [found[name] for name in ("channel", "to", "gemma", "kimi", "inkling")]
        name = next((name for name in names if name is not None), "message")
        return "words" if name.lower() in _READ else "channel"
    if found["close"] is not None:
        return "close"
    if found["open"] is not None:
        return "open"
    return "words" if found["words"] is not None else "end"
