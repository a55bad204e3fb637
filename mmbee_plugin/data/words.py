"""Splits titles into words; in scripts without blanks, into characters and pairs of neighbours."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

WORD = re.compile(r"\b\w\w+\b")
"""words as in scikit-learn: at least two letters or digits"""
UNCUT = (
    "\u0900-\u109f"  # India, Sri Lanka, Thailand, Laos, Tibet, Myanmar: `\w` stops at their vowel signs
    "\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\ua980-\ua9df\uaa60-\uaadf"  # Khmer, Tai, Javanese
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # kana, bopomofo, radicals
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"  # Han
)
"""scripts without blanks between words, or whose words `WORD` would cut into pieces"""
RUN = re.compile(f"([{UNCUT}]+)|[^{UNCUT}]+")


def words(title: str) -> list[str]:
    """Lower-case words of a title; in `UNCUT` scripts, the characters and pairs of neighbours.

    Vowel signs and tone marks belong to the character before them. Punctuation and emoji are left out.

    Example:
        >>> words("Red PANDA \U0001f43c 大熊猫!")
        ['red', 'panda', '大', '熊', '猫', '大熊', '熊猫']
    """
    found: list[str] = []
    for run in RUN.finditer(unicodedata.normalize("NFC", title).lower()):
        if not run[1]:
            found += WORD.findall(run[0])
            continue
        for characters in _stretches(run[0]):
            found += characters
            found += [first + second for first, second in pairwise(characters)]
    return found


def _stretches(run: str) -> list[list[str]]:
    """Characters with their marks, grouped into runs between punctuation."""
    stretches: list[list[str]] = [[]]
    for one in run:
        kind = unicodedata.category(one)[0]
        if kind == "M" and stretches[-1]:
            stretches[-1][-1] += one
        elif kind in "LN":
            stretches[-1].append(one)
        elif stretches[-1]:
            stretches.append([])
    return stretches
