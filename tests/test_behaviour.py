"""The 19 features of a user's turns: conformance vectors first, then each rule by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from usersim_env.feedback.behaviour import (
    DIMENSIONS,
    FEATURES,
    RATES,
    behaviour_features,
    features_of_turns,
    hidden_turns,
    phrase_hits,
    user_turns,
)

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "features.json").read_text(encoding="utf-8")
)


def _say(*texts: str) -> list[dict[str, object]]:
    return [{"role": "user", "content": text} for text in texts]


def _features(*texts: str) -> dict[str, float]:
    features = features_of_turns(texts, len(texts))
    assert features is not None
    return features


@pytest.mark.parametrize("source", ["human", "llm"])
def test_every_conformance_vector_within_1e_9(source: str) -> None:
    vectors = [vector for vector in VECTORS if vector["source"] == source]
    assert len(vectors) >= 80
    for vector in vectors:
        got = behaviour_features(vector["conversation"], vector["source"])
        want = vector["features"]
        if want is None:
            assert got is None, vector
            continue
        assert got is not None, vector
        assert list(got) == ["n_turns", *FEATURES]
        assert set(got) == set(want)
        assert got == pytest.approx(want, rel=0, abs=1e-9), vector


def test_the_names_are_those_of_the_index() -> None:
    assert list(DIMENSIONS) == ["D1_conv", "D2_info", "D3_clarif", "D4_react"]
    assert [len(names) for names in DIMENSIONS.values()] == [7, 4, 5, 3]
    assert len(set(FEATURES)) == 19
    assert "n_turns" not in FEATURES
    plain = {"verbosity_cv", "id_density", "user_words_per_turn", "opening_words"}
    assert set(FEATURES) - set(RATES) == plain
    assert tuple(name for name in FEATURES if name in RATES) == RATES


@pytest.mark.parametrize(
    ("source", "text", "left"),
    [
        ("human", "\\tau task_index:airline-0 model:m", 0),
        ("human", "\\taurus is my sign", 1),
        ("human", " \\tau x", 1),
        ("human", "\\reward 1", 0),
        ("human", "\\rewarding", 0),
        ("human", "look <|canvas|> here", 0),
        ("human", "<|highlight|>", 0),
        ("human", "<|survey|>", 0),
        ("human", " /stop\n", 0),
        ("human", "/stop now", 1),
        ("human", "###STOP###", 1),
        ("llm", " ###STOP###\n", 0),
        ("llm", "done ###STOP###", 1),
        ("llm", "/stop", 1),
        ("llm", "\\tau x", 1),
        ("llm", "<|canvas|>", 1),
    ],
)
def test_control_messages_are_left_out_by_source(source: Any, text: str, left: int) -> None:
    texts, n_turns = user_turns(_say(text), source)
    assert (len(texts), n_turns) == (left, left)
    assert (behaviour_features(_say(text), source) is None) == (left == 0)


def test_n_turns_counts_both_seats_without_control_messages() -> None:
    conversation: list[dict[str, object]] = [
        {"role": "system", "content": "policy"},
        {"role": "user", "content": "\\tau x"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "cancel it"},
        {"role": "tool", "content": "{}"},
        {"role": "assistant", "content": "<|survey|>"},
    ]
    features = behaviour_features(conversation, "human")
    assert features is not None
    assert features["n_turns"] == 2
    assert user_turns(conversation, "human") == (["cancel it"], 2)


def test_no_user_turn_means_no_features() -> None:
    assert behaviour_features([], "llm") is None
    assert behaviour_features([{"role": "assistant", "content": "hello"}], "human") is None
    assert features_of_turns([], 3) is None


def test_a_null_content_is_the_word_none_and_a_missing_one_is_empty() -> None:
    assert user_turns([{"role": "user", "content": None}], "llm") == (["None"], 1)
    assert user_turns([{"role": "user"}], "llm") == ([""], 1)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a <|think|>please\n<|/think|>b", "a b"),
        ("<|think|>x<|/think|>a<|think|>y<|/think|>b", "ab"),
        ("a <|think|>unclosed", "a <|think|>unclosed"),
        ("a<function=f><parameter=k>v</parameter></function> b", "a b"),
        ("a<function=f>\nunclosed", "a"),
        ('<|tool|>{"x": 1}<|/tool|>fine', "fine"),
        ("a <|tool|>unclosed", "a <|tool|>unclosed"),
        ("<|think|><function=f <|/think|>kept", "kept"),
        ("<function=f <|tool|>x<|/tool|>", ""),
    ],
)
def test_agent_markup_is_removed(text: str, left: str) -> None:
    assert user_turns(_say(text), "llm") == ([left], 1)


def test_a_turn_of_nothing_but_markup_still_counts() -> None:
    features = behaviour_features(_say("<|tool|>{}<|/tool|>", "one two three four"), "llm")
    assert features is not None
    assert (features["short_msg_rate"], features["user_words_per_turn"]) == (0.5, 2.0)


@pytest.mark.parametrize(
    ("text", "feature", "value"),
    [
        ("I don't know", "uncertainty_rate", 1.0),
        ("i dont know", "uncertainty_rate", 1.0),
        ("I don\u2019t know", "uncertainty_rate", 0.0),  # a curly apostrophe is not optional
        ("i  think", "uncertainty_rate", 0.0),  # a blank is one blank
        ("pleased", "politeness_rate", 0.0),
        ("PLEASE!", "politeness_rate", 1.0),
        ("a - b", "formality_rate", 0.0),
        ("a\u2013b", "formality_rate", 1.0),
        ("a \u2014 b", "formality_rate", 1.0),
        ("Dear Madam, I hereby request", "formality_rate", 0.0),
        (" Sounds good!! - ,", "ack_only_rate", 1.0),
        ("yes?", "ack_only_rate", 0.0),
        ("yes please", "ack_only_rate", 0.0),
        ("", "ack_only_rate", 0.0),
        ("one two three", "short_msg_rate", 1.0),
        ("one two three four", "short_msg_rate", 0.0),
        # the word boundary after the closing question mark
        ("you said it was free?", "clarify_q_rate", 0.0),
        ("you said it was free?ok", "clarify_q_rate", 1.0),
        ("you said it\nwas free?ok", "clarify_q_rate", 0.0),
        ("you said " + "x" * 30 + "?y", "clarify_q_rate", 1.0),
        ("you said " + "x" * 31 + "?y", "clarify_q_rate", 0.0),
        # a blank, then a word
        ("is that?", "info_q_rate", 0.0),
        ("is that ok", "info_q_rate", 1.0),
        ("is that  ok", "info_q_rate", 0.0),
        ("what s the cost", "info_q_rate", 1.0),
        ("what\u2019s the price", "info_q_rate", 1.0),
        ("what\ns the price", "info_q_rate", 0.0),
        # two blanks around what stands between, on one line
        ("don't ask me again", "pushback_q_rate", 0.0),
        ("don't ask me  again", "pushback_q_rate", 1.0),
        ("do not ask me for this again", "pushback_q_rate", 1.0),
        ("dont ask me for\nthis again", "pushback_q_rate", 0.0),
        ("have you tried", "id_confuse_rate", 1.0),
        ("have you try", "id_confuse_rate", 0.0),
        ("did you consider", "id_confuse_rate", 0.0),
        ("switch that something", "pivot_rate", 1.0),
        ("is there way to", "pivot_rate", 1.0),
        ("which options is", "clarify_q_rate", 0.0),
    ],
)
def test_quirks_of_the_phrase_rates(text: str, feature: str, value: float) -> None:
    assert _features(text)[feature] == value


def test_a_turn_counts_for_the_first_kind_of_question_only() -> None:
    features = _features("are you sure, what do you mean, how much", "what do you mean, how much", "how much", "ok")
    kinds = [features[f"{kind}_q_rate"] for kind in ("pushback", "clarify", "info")]
    assert kinds == [0.25, 0.25, 0.25]


def test_other_rates_of_a_turn_are_independent() -> None:
    features = _features("that is ridiculous", "hello")
    assert features["emotion_rate"] == features["accusation_rate"] == 0.5


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("please cancel my flight", 3),  # ordinary words of six letters count
        ("abcde 1234", 0),
        ("12345", 1),
        ("#W2378156", 1),
        ("#1234", 0),
        ("ABC-12345-x", 1),
        ("ab_12345_cd", 1),
        ("yusuf_rossi_9620", 1),
        ("ab_962", 0),
        ("_a_962", 0),
        ("__a_962", 1),
        ("a_b_962_c", 1),
        ("credit_card_visa", 1),
        ("gift_card_", 0),
        ("paypal_a", 1),
        ("a.bc@de.fg", 1),
        ("abcdef@ghi.com", 1),  # the first alternative takes the name and leaves nothing for the address
        ("abcdef@ghijkl.com", 2),
        ("ab_cd_962x@ef.gh", 2),
        ("größer", 0),
    ],
)
def test_identifiers_are_counted_without_overlap(text: str, count: int) -> None:
    assert _features(text)["id_density"] == count


def test_words_and_their_spread() -> None:
    features = _features("a b", "c d e f", "g h i j k l")
    assert features["opening_words"] == 2
    assert features["user_words_per_turn"] == 4
    assert features["info_frontload"] == 0.5
    assert features["verbosity_cv"] == pytest.approx((8 / 3) ** 0.5 / 4)
    empty = _features("", " ")
    assert (empty["verbosity_cv"], empty["info_frontload"], empty["short_msg_rate"]) == (0, 0, 1)
    assert _features("a b c")["verbosity_cv"] == 0


def test_a_run_of_three_words_repeats_above_ten_and_never_across_turns() -> None:
    assert _features(*["i want it"] * 10)["repeat_rate"] == 0
    assert _features(*["i want it"] * 11)["repeat_rate"] == 1
    assert _features("i want it " * 11)["repeat_rate"] == 1
    assert _features(*["i want it"] * 10, "I want it")["repeat_rate"] == 0  # words as they are written
    assert _features(*["i want", "it"] * 20)["repeat_rate"] == 0


def test_hits_name_the_list_and_the_phrases() -> None:
    hits = phrase_hits("Please check again: I'm not sure which order 12345 is, thanks<|think|>sorry<|/think|>")
    assert hits == {
        "polite": ["please", "thanks"],
        "uncertainty": ["i'm not sure"],
        "pushback": ["check again"],
        "clarify": ["i'm not sure which"],
        "id": ["please", "12345", "thanks"],
    }
    assert phrase_hits(" Yes! ") == {"ack": ["yes"]}
    assert phrase_hits("hmm") == {}


def test_phrases_that_a_curly_apostrophe_hides_are_named() -> None:
    plain, curly = "I don't know, please.", "I don\u2019t know, please."
    assert phrase_hits(plain) == {"polite": ["please"], "id": ["please"], "uncertainty": ["don't know"]}
    assert phrase_hits(curly) == {"polite": ["please"], "id": ["please"], "hidden": ["don't know"]}
    assert "hidden" not in phrase_hits(plain) and "hidden" not in phrase_hits("It\u2019s me, please.")
    assert hidden_turns([plain, curly, curly, "Nothing."]) == 2
    assert hidden_turns(["I\u2019m not sure about that.", "I don't know, I don\u2019t know."]) == 0, "found already"


def test_hits_agree_with_the_rates_on_every_vector() -> None:
    named = {"polite": "politeness_rate", "agent_talk": "id_confuse_rate", "ack": "ack_only_rate"}
    named |= {name: f"{name}_rate" for name in ("uncertainty", "certainty", "emotion", "accusation", "pivot")}
    for text in {text for vector in VECTORS for text in user_turns(vector["conversation"], vector["source"])[0]}:
        features, hits = _features(text), phrase_hits(text)
        for name, feature in named.items():
            assert (name in hits) == (features[feature] == 1), (name, text)
        assert len(hits.get("id", [])) == features["id_density"], text


@pytest.mark.parametrize(
    "text", ["a" * 10**6, "a_" * 500_000, "é1" * 500_000, "<|think|>" * 100_000, "you said " * 100_000]
)
def test_a_text_of_a_megabyte_is_measured(text: str) -> None:
    features = behaviour_features(_say(text), "llm")
    assert features is not None
    assert features["opening_words"] == len(text.split())


def test_bad_input_says_what_came_and_what_was_expected() -> None:
    with pytest.raises(ValueError, match="source is 'person'; expected 'human' or 'llm'"):
        behaviour_features([], "person")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"message 0 has the keys \['content'\]; expected 'role' and 'content'"):
        behaviour_features([{"content": "hi"}], "llm")
    with pytest.raises(TypeError, match=r"content of message 1 is of type list; expected text or None\. Join"):
        behaviour_features([*_say("hi"), {"role": "user", "content": [{"text": "hi"}]}], "llm")
