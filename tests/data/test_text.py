from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from mmbee_plugin.data import text
from mmbee_plugin.data.words import words
from mmbee_plugin.errors import InputError

SOURCE = Path("titles.csv")

# What sentence-transformers shows of itself here: it refuses a model that is not on the machine, and counts letters.
PACKAGE = """
import numpy as np

class SentenceTransformer:
    def __init__(self, name, *, local_files_only):
        assert local_files_only
        if name != "here":
            raise OSError("no such model, and no network either")

    def encode(self, sentences, batch_size, show_progress_bar):
        return np.array([[len(one), one.count("a"), 1.0] for one in sentences], dtype=np.float32)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "sentence_transformers.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("sentence_transformers", None)


def test_few_words_stay_as_they_are():
    values, note = text.text_features(["red fish", "", "RED fish!", "blue fish"], SOURCE)
    assert values.dtype == np.float32 and values.shape == (4, 3) and not values[1].any()
    assert np.array_equal(values[0], values[2]) and "TF-IDF of the titles over 3 words, as it is" in note


def test_many_words_are_reduced_and_keep_what_is_alike():
    rng = np.random.default_rng(0)
    topics = [[f"topic{topic}word{word}" for word in range(40)] for topic in range(8)]
    titles = [" ".join(rng.choice(topics[row % 8], 6)) for row in range(400)] + ["", "?!"]
    values, note = text.text_features(titles, SOURCE)
    assert values.shape == (402, text.WIDTH) and "reduced to width 128" in note
    assert not values[400:].any() and values[:400].any(axis=1).all()
    unit = values[:400] / np.linalg.norm(values[:400], axis=1, keepdims=True)
    alike = unit @ unit.T
    same = np.arange(400)[:, None] % 8 == np.arange(400) % 8
    assert alike[same].mean() > alike[~same].mean() + 0.1
    again, _ = text.text_features(titles, SOURCE)
    assert np.array_equal(again, values)


def test_a_sentence_encoder_is_used_where_its_model_is(package, monkeypatch):
    monkeypatch.setattr(text, "ENCODER", "here")
    values, note = text.text_features(["a cat", " ", "banana", "?! \U0001f43c"], SOURCE)
    assert values.tolist() == [[5, 2, 1], [0, 0, 0], [6, 3, 1], [0, 0, 0]] and values.dtype == np.float32
    made = "text: sentence embeddings of the titles by here, width 3"
    assert note == f"{made}; missing for 2 of 4, whose titles say nothing"
    assert text.text_features(["a cat"], SOURCE)[1] == made
    with pytest.raises(InputError, match=r"titles\.csv: no title holds a word"):
        text.text_features(["", " ", "\U0001f43c"], SOURCE)


def test_tf_idf_where_the_model_is_not_on_the_machine(package):
    _, note = text.text_features(["a red cat", "a dog"], SOURCE)
    assert "TF-IDF" in note and f"({text.ENCODER} is not on this machine)" in note


def test_without_either_package(monkeypatch):
    for name in ("sklearn.decomposition", "sklearn.feature_extraction.text", "sentence_transformers"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        InputError, match=r"titles without a sentence encoder.*pip install 'scikit-learn>=1\.5'"
    ):
        text.text_features(["a red cat"], SOURCE)


# Two topics of words a language, and how titles are put together.
TOPICS = {
    "Chinese": ([*"猫狗兔鱼鸟虎"], [*"饭面汤菜肉茶"], ""),
    "Japanese": (["ねこ", "イヌ", "うさぎ", "トリ"], ["ごはん", "ラーメン", "お茶", "カレー"], ""),
    "Thai": (["แมว", "หมา", "ปลา", "นก"], ["ข้าว", "น้ำ", "ก๋วยเตี๋ยว", "ชา"], ""),
    "Hindi": (["बिल्ली", "कुत्ता", "मछली"], ["चावल", "पानी", "चाय"], " "),
    "mixed": (["猫 cat", "狗dog", "fish鱼"], ["饭 rice", "汤soup", "tea茶"], " "),
}


@pytest.mark.parametrize("language", TOPICS)
def test_titles_without_blanks_between_words_are_alike_by_topic(language):
    *topics, between = TOPICS[language]
    rng = np.random.default_rng(3)
    titles = [between.join(rng.choice(topics[row % 2], 5)) + "!🐼" for row in range(300)]
    values, note = text.text_features([*titles, "，。！", "🐼🐼", "", "็"], SOURCE)
    assert note.endswith("; missing for 4 of 304, whose titles say nothing") and not values[300:].any()
    unit = values[:300] / np.linalg.norm(values[:300], axis=1, keepdims=True)
    alike, same = unit @ unit.T, np.arange(300)[:, None] % 2 == np.arange(300) % 2
    assert alike[same].mean() > alike[~same].mean() + 0.2
    assert np.array_equal(values, text.text_features([*titles, "，。！", "🐼🐼", "", "็"], SOURCE)[0])


def test_a_title_of_which_the_reduction_leaves_nothing_is_missing():
    """Its words are nobody else's; what is left of it is rounding, which must not count as a feature."""
    titles = [f"word{row % 20} topic{row % 150}" for row in range(900)] + ["unheardof neverseen"]
    values, note = text.text_features(titles, SOURCE)
    assert values.shape[1] == text.WIDTH and not values[900].any() and values[:900].any(axis=1).all()
    assert "missing for 1 of 901" in note


@pytest.mark.parametrize(
    ("title", "found"),
    [
        ("Don't panic: 42 CATS, a-b é2", ["don", "panic", "42", "cats", "é2"]),
        ("iPhone手机7plus", ["iphone", "手", "机", "手机", "7plus"]),
        ("ไม่ดี", ["ไ", "ม่", "ดี", "ไม่", "ม่ดี"]),
        ("東京・大阪", ["東", "京", "東京", "大", "阪", "大阪"]),
        ("한국어 영화", ["한국어", "영화"]),
        ("привет, мир", ["привет", "мир"]),
        ("cafe\u0301s", ["cafés"]),
        ("… ！🐼 ่", []),
    ],
)
def test_words(title, found):
    assert words(title) == found
