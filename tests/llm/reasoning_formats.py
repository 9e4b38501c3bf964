"""Answers of reasoning models as servers hand them on: one thought that must not be heard, one sentence that may."""

from __future__ import annotations

from collections.abc import Callable

SECRET = "My hidden goal is forty dollars in cash."
WORDS = "Hello, I need help with my repair."

Write = Callable[[str], str]
"""From what is meant to be said to what the model writes."""


def pair(opening: str, closing: str) -> dict[str, Write]:
    """A format with a pair of marks, in the ways in which servers and models break it."""
    return {
        f"{opening} … {closing}": lambda words: f"{opening}\n{SECRET}\n{closing}\n\n{words}",
        f"… {closing}, opened in the prompt": lambda words: f"{SECRET}\n{closing}\n\n{words}",
        f"{opening} … {closing}, twice": lambda words: f"{opening}a{closing}{opening}{SECRET}{closing}{words}",
        f"{opening} doubled": lambda words: f"{opening}{opening}{SECRET}{closing}{words}",
        f"JSON inside {opening}": lambda words: f'{opening}{{"x": "{closing}"}} {SECRET}{closing}{words}',
    }


READABLE: dict[str, Write] = {
    name: write
    for opening, closing in [
        ("<think>", "</think>"),
        ("<THINK>", "</THINK>"),
        ("<think >", "</ think>"),
        ("<thinking>", "</thinking>"),
        ("<thought>", "</thought>"),
        ("<reasoning>", "</reasoning>"),
        ("<reflection>", "</reflection>"),
        ("<scratchpad>", "</scratchpad>"),
        ("<seed:think>", "</seed:think>"),
        ("<mm:think>", "</mm:think>"),
        ("<think:opensource>", "</think:opensource>"),
        ("<longcat_think>", "</longcat_think>"),
        ("<ifm|think_fast>", "</ifm|think_fast>"),
        ("<|think|>", "<|/think|>"),
        ("<|think:start|>", "<|think:end|>"),
        ("<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("<|inner_prefix|>", "<|inner_suffix|>"),
        ("[THINK]", "[/THINK]"),
        ("[unused16]", "[unused17]"),
        ("◁think▷", "◁/think▷"),
        ("&lt;think&gt;", "&lt;/think&gt;"),
        ("＜think＞", "＜/think＞"),
    ]
    for name, write in pair(opening, closing).items()
} | {
    "Harmony": lambda words: (
        f"<|channel|>analysis<|message|>{SECRET}<|end|><|start|>assistant<|channel|>final<|message|>{words}<|return|>"
    ),
    "Harmony, begun in the prompt": lambda words: (
        f"{SECRET}<|end|><|start|>assistant<|channel|>final<|message|>{words}"
    ),
    "Harmony without its tokens": lambda words: f"analysis{SECRET}assistantfinal{words}",
    "Harmony with a preamble": lambda words: (
        f"<|channel|>commentary<|message|>{SECRET}<|end|><|start|>assistant<|channel|>final<|message|>{words}<|return|>"
    ),
    "Gemma": lambda words: f"<|channel>thought\n{SECRET}<channel|>{words}<turn|>",
    "Gemma, begun in the prompt": lambda words: f"{SECRET}<channel|>{words}",
    "Kimi K3": lambda words: (
        f"<|open|>think<|sep|>{SECRET}<|close|>think<|sep|><|open|>response<|sep|>{words}<|close|>response<|sep|>"
        "<|end_of_msg|>"
    ),
    "Kimi K3, begun in the prompt": lambda words: f"{SECRET}<|close|>think<|sep|><|open|>response<|sep|>{words}",
    "Inkling": lambda words: (
        f"<|message_model|><|content_thinking|>{SECRET}<|end_message|><|message_model|><|content_text|>{words}"
        "<|end_message|><|content_model_end_sampling|>"
    ),
    "Muse": lambda words: f"to=self<|message|>{SECRET}<|eom|><|start|>assistant to=user<|message|>{words}<|eot|>",
    "Command A": lambda words: f"{SECRET}<|END_THINKING|><|START_TEXT|>{words}<|END_TEXT|>",
    "ERNIE": lambda words: f"{SECRET}\n</think>\n\n<response>\n{words}\n</response>",
    "Hunyuan": lambda words: f"<think>\n{SECRET}\n</think>\n<answer>\n{words}\n</answer>",
    "Granite": lambda words: f"Here is my thought process: {SECRET} Here is my response: {words}",
    "Granite, short": lambda words: f"Here's my thought process: {SECRET}\n\nHere's my response:\n{words}",
    "Apriel": lambda words: (
        f"Here are my reasoning steps:\n{SECRET}\n[BEGIN FINAL RESPONSE]\n{words}\n[END FINAL RESPONSE]"
    ),
    "Open Thinker": lambda words: (
        f"<|begin_of_thought|>{SECRET}<|end_of_thought|><|begin_of_solution|>{words}<|end_of_solution|>"
    ),
    "a thought that quotes an answer": lambda words: f"<think>I could say <answer>{SECRET}</answer></think>{words}",
    "an end-of-turn token at the end": lambda words: f"<think>{SECRET}</think>{words}<|im_end|>",
}
"""Formats in which thought and words can be told apart."""

UNREADABLE: dict[str, Write] = {
    "no end": lambda words: f"<think>{SECRET} {words}",
    "no end, cut within the mark": lambda words: f"<think>{SECRET} {words}</thi",
    "words before the thought": lambda words: f"{words}\n<think>{SECRET}</think>",
    "words on both sides": lambda words: f"{SECRET}\n<think>a</think>{words}",
    "nothing but a thought": lambda words: f"<think>{SECRET}</think>",
    "a second thought without end": lambda words: f"<think>a</think>{words}<think>{SECRET}",
    "Harmony, no final channel": lambda words: f"<|channel|>analysis<|message|>{SECRET}",
    "Harmony without its tokens, no final channel": lambda words: f"analysis{SECRET}",
    "Harmony, a call": lambda words: (
        f'<|channel|>commentary to=functions.find <|constrain|>json<|message|>{{"x": "{SECRET}"}}<|call|>'
    ),
    "Granite, no response": lambda words: f"Here is my thought process: {SECRET}",
    "Gemma's label without its marks": lambda words: f"thought\n{SECRET}",
    "a token of no format we know": lambda words: f"{words}<|new_reasoning_token|>{SECRET}",
    "the next turn": lambda words: f"{words}<|im_end|>\n<|im_start|>user\n{SECRET}",
}
"""Answers that are unusable: they are asked for again, and never said."""
