"""Database files in WordNet's format, of a few words."""

from __future__ import annotations

from pathlib import Path

NOTICE = "  1 These definitions are free for all.  \n"
NOUNS = {
    "00000101": "a small yellow bird",
    "00000202": "an informer",
    "00000303": "a blue flower that has five petals",
    "00000404": "a cake of sugar; also a sweet",
    "00000505": "a large water bird",
}
VERBS = {"00000606": "burn in a fire"}
SENSES = {
    "noun": {
        "blim": ("00000202", "00000101"),
        "trob": ("00000303",),
        "candy_trob": ("00000404",),
        "goose": ("00000505",),
    },
    "verb": {"trob": ("00000606",)},
    "adj": {},
    "adv": {},
}


def write_small_wordnet(folder: Path) -> Path:
    """Write the files, and say where."""
    folder.mkdir()
    for kind, words in SENSES.items():
        meanings = {"noun": NOUNS, "verb": VERBS}.get(kind, {})
        data = [f'{place} 05 n 01 word 0 000 | {text}; "an example of blue"\n' for place, text in meanings.items()]
        index = [f"{word} n {len(own)} 1 @ {len(own)} 0 {' '.join(own)}  \n" for word, own in words.items()]
        (folder / f"data.{kind}").write_text(NOTICE + "".join(data), encoding="utf-8")
        (folder / f"index.{kind}").write_text(NOTICE + "".join(index), encoding="utf-8")
    (folder / "noun.exc").write_text("geese goose\n", encoding="utf-8")
    return folder
