"""Every figure that the README gives of what was measured is the stored one, to the digits it is given with.

`FIGURES` holds the README's sentences with a place for each figure, and where in `benchmarks/results` it stands;
`TABLES` the same for its tables. What is left of a number with a point has to be in `NOT_MEASURED_HERE`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


class Cell(NamedTuple):
    """A stored figure: file, column, and the values that tell its row; `part` counts the numbers of an interval."""

    file: str
    column: str
    row: dict[str, Any]
    form: str = ".3f"
    part: int = 0

    def shown(self) -> str:
        """As the README is to give it."""
        places = Decimal(1).scaleb(-int(re.findall(r"\d+", self.form)[0]))
        # Halves go up, as in the stored tables; a stored text is a decimal number as it stands.
        return format(self.number().quantize(places, ROUND_HALF_UP), self.form)

    def number(self) -> Decimal:
        found = [row for row in stored(self.file)["rows"] if all(row.get(k) == v for k, v in self.row.items())]
        assert len(found) == 1, f"{len(found)} rows of {self.file} have {self.row}"
        value = found[0][self.column]
        return Decimal(re.findall(r"[-+]?[\d.]+", value)[self.part]) if isinstance(value, str) else Decimal(value)


class Note(NamedTuple):
    """A stored figure in a sentence of a result: the first group of a pattern in its notes or conditions."""

    file: str
    pattern: str
    form: str = ""

    def shown(self) -> str:
        document = stored(self.file)
        found = re.findall(self.pattern, "\n".join([document["conditions"], *document["notes"]]))
        assert len(found) == 1, f"{self.pattern} is {len(found)} times in {self.file}"
        return format(float(found[0]), self.form) if self.form else str(found[0])


@cache
def stored(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def quality(dataset: str, ranked_by: str, column: str, part: int = 0) -> Cell:
    return Cell("2026-11-26-quality", column, {"set": dataset, "ranked by": ranked_by}, ".4f", part)


def cold(dataset: str, contender: str, form: str) -> Cell:
    row = {"set": dataset, "contender": contender, "ranked by": "fused", "seeds": 1}
    return Cell("2026-11-26-quality-cold-items", "Recall@10", row, form)


def head(form: str, part: int = 0) -> Cell:
    return Cell("2026-11-26-heads", "test NDCG@10", {"form": form}, ".3f", part)


def adapted(figure: str, file: str) -> Cell:
    return Cell(file, "after", {"figure": figure})


def filled(column: str, part: int = 0) -> Cell:
    return Cell("2026-11-26-fashion-fill-in", column, {"words": "title alone"}, ".3f", part)


def duplicates(source: str, column: str) -> Cell:
    return Cell("2026-11-26-fashion-duplicates", column, {"from": source, "copies": "all"})


def embedded(contender: str, dtype: str) -> Cell:
    row = {"pictures": "500 x 500", "dtype": dtype, "contender": contender}
    return Cell("2026-11-25-embed", "pictures/s", row, ".1f")


def on_h100(contender: str) -> Cell:
    row = {"pixels": "500", "format": "bfloat16", "contender": contender}
    return Cell("2026-11-25-embed-h100", "pictures/s", row, ",.0f")


def texts(dtype: str) -> Cell:
    return Cell("2026-11-26-texts", "times encode's best", {"dtype": dtype, "contender": "mmrec, the encoder"}, ".2f")


def search(column: str, form: str, index: str = "mmrec (ivf)") -> Cell:
    return Cell("2026-11-26-vector-search", column, {"items": 1_000_000, "index": index}, form)


def films(metric: str, column: str, part: int = 0) -> Cell:
    row = {"metric": metric, "vectors": "a fusion for each"}
    return Cell("2026-11-30-language-pictures", column, row, ".3f", part)


def decoded(batch: int, column: str, form: str) -> Cell:
    return Cell("2026-11-30-decode", column, {"batch": batch}, form)


def growth(items: int, column: str, form: str) -> Cell:
    return Cell("2026-11-30-decode-growth", column, {"items": items}, form)


def filtered(kind: str) -> Cell:
    return Cell("2026-11-30-decode-filters", "times none", {"filter": kind}, ".1f")


def closing(kind: str, form: str) -> Cell:
    return Cell("2026-11-30-decode-constraint", "share", {"items": 12_000, "filter": kind}, form)


LLAMA, T5 = "LLaMA (decoder-only)", "T5 (encoder-decoder)"


def backbone(name: str, column: str, form: str = ".3f") -> Cell:
    return Cell("2026-11-30-language-backbones", column, {"backbone": name}, form)


UPSERTS = "2026-12-01-upserts"
UPSERTS_BLENDED = "2026-12-01-upserts-every-channel"

CONSTRAINTS, STEERED, DRESSED = (
    "2026-11-30-language-constraints",
    "2026-11-30-language-steering-films",
    "2026-12-01-language-steering-fashion",
)
RATED, TALK, EXPLAINED = (
    "2026-11-30-language-rating",
    "2026-11-30-language-conversation",
    "2026-11-30-language-explanations",
)
TASKS, BEAUTY_TASKS = "2026-11-30-language-tasks", "2026-11-30-language-straightforward"
BY_MINILM, DEFINED = "nearest value by MiniLM as a filter", "mmrec with a dictionary"


def parsed(parser: str, column: str) -> Cell:
    return Cell(CONSTRAINTS, column, {"sentences": "test", "parser": parser})


def steered(sentence: str, by: str, column: str) -> Cell:
    return Cell(STEERED, column, {"sentence": sentence, "list": by})


def dressed(sentence: str, about: str, by: str) -> Cell:
    return Cell(DRESSED, "share of the first 10", {"sentence": sentence, "about": about, "list": by})


def rated(ratings: str, predictor: str) -> Cell:
    return Cell(RATED, "RMSE", {"ratings": ratings, "predictor": predictor})


def talked(agent: str, column: str) -> Cell:
    return Cell(TALK, column, {"phrases": "the data's", "agent": agent})


def explained(measured: str) -> Cell:
    return Cell(EXPLAINED, "share", {"measured": measured})


def of_task(task: str, model: str, column: str, form: str = ".3f") -> Cell:
    return Cell(TASKS, column, {"task": task, "model": model}, form)


def of_beauty(ranked_by: str) -> Cell:
    return Cell(BEAUTY_TASKS, "NDCG@10", {"ranked by": ranked_by})


def scaled(column: str, form: str) -> Cell:
    return Cell("2026-12-01-scale", column, {"items": "1,000,000"}, form)


def on_gpu(batch: int, column: str = "p50 ms", form: str = ".1f") -> Cell:
    return Cell("2026-11-26-decode-gpu-h100", column, {"nodes known": "by codes", "batch": batch}, form)


def gpu_closing(closed: str, batch: int) -> Cell:
    column = "children and closing ms a step"
    return Cell("2026-11-26-decode-gpu-constraint-h100", column, {"what is closed": closed, "batch": batch}, ".2f")


NODES, CUSTOMERS = "decoder, nodes known by the items below", "decoder, nodes, customers in the codes"
FOLDER, BUNDLE = "a dataset folder: vectors, titles and thumbnails", "a bundle: vectors and titles"
HELD_OUT = "Recall@10 among held-out films"
SEEN, FILTERED = "seen", "seen, and what a filter of its own does not let pass (3 in 10 pass)"

FIGURES: dict[str, list[Cell | Note]] = {
    "LLaMA's has NDCG@10 {} and T5's {}; fused with the other channels {} and {}. A request took {} and {} ms": [
        backbone(LLAMA, "item head, NDCG@10"),
        backbone(T5, "item head, NDCG@10"),
        backbone(LLAMA, "fused, NDCG@10"),
        backbone(T5, "fused, NDCG@10"),
        backbone(LLAMA, "request p50 / p95, ms", ".0f"),
        backbone(T5, "request p50 / p95, ms", ".0f"),
    ],
    "(its item head alone, NDCG@10 {} and {}, 3 seeds)": [
        of_task("sequential", model, "seen templates") for model in ("all tasks", "sequential alone")
    ],
    "of the same slots, by {}% there, by {}% for ranking candidates, by {}% for wishes behind a history and by {}% for "
    "wishes": [
        *(
            of_task(task, "all tasks", "unseen to seen, both by item tokens", ".1f")
            for task in ("sequential", "ranking", "wish")
        ),
        of_task("wish", "all tasks", "unseen to seen, both without history", ".1f"),
    ],
    "({} against {} by the same model)": [
        of_task("sequential", model, "seen templates") for model in ("all tasks", "all tasks, histories without words")
    ],
    "as one token gives NDCG@10 {}, the vector of `EmbedUser` {} and the fused recommender, which reads the order, "
    "{}.": [
        of_beauty("seen templates, one token"),
        of_beauty("nearest to the customer's vector (EmbedUser)"),
        of_beauty("fused, no instructions"),
    ],
    "On Amazon Beauty ({} users, {} items, words and no pictures) and MovieLens-100K ({} users, {} films": [
        Note("2026-11-26-quality", r"amazon-beauty: ([\d,]+) users"),
        Note("2026-11-26-quality", r"amazon-beauty: [\d,]+ users asked, ([\d,]+) items"),
        Note("2026-11-26-quality", r"with a picture\): ([\d,]+) users"),
        Note("2026-11-26-quality", r"with a picture\): [\d,]+ users asked, ([\d,]+) items"),
    ],
    "means over seeds ({} on Beauty, {} on MovieLens), one thread": [
        Cell("2026-11-26-quality", "seeds", {"set": name, "ranked by": "everything fused"}, ".0f")
        for name in ("beauty", "movielens")
    ],
    "Beauty {} [{}, {}], MovieLens {} [{}, {}]": [
        quality(name, "everything fused", "NDCG@10", part) for name in ("beauty", "movielens") for part in range(3)
    ],
    "SASRec after {} passes, with categories after {}, HSTU after {}, TIGER after one": [
        Note("2026-11-26-quality", rf"beauty-{name}-seed-0: .*best epoch (\d+) of") for name in
        ("sasrec", "sasrec-features", "hstu")
    ],
    "A fit on Beauty takes {} to {} minutes on one thread and {} GiB": [
        Cell("2026-11-26-quality-fits", "minutes", {"fit": "beauty-seed-2"}, ".0f"),
        Cell("2026-11-26-quality-fits", "minutes", {"fit": "beauty-seed-0"}, ".0f"),
        Cell("2026-11-26-quality-fits", "peak GiB", {"fit": "beauty-seed-0"}, ".1f"),
    ],
    "(everything fused ranks, one seed) with Recall@10 {} when both their posters and words are known, {} from words "
    "alone and {} from posters alone; a blind ranking has {}.": [
        cold("movielens", "fused", ".3f"),
        cold("movielens", "words only", ".3f"),
        cold("movielens", "picture only", ".3f"),
        Note("2026-11-26-quality-cold-items", r"9,101 questions; a blind ranking has (0\.\d+)", ".4f"),
    ],
    "found among all products with Recall@10 {} (the same, one seed); a blind ranking has {}.": [
        cold("beauty", "words only", ".3f"),
        Note("2026-11-26-quality-cold-items", r"17,693 questions; a blind ranking has (0\.\d+)"),
    ],
    "the items below them {} [{}, {}], and {} [{}, {}] where what customers do is part of the codes; the same decoder "
    "with codes known by themselves {}; 16 and 32 codes written in parallel {}.": [
        *(head(NODES, part) for part in range(3)),
        *(head(CUSTOMERS, part) for part in range(3)),
        head("decoder, codes known by themselves"),
        head("16 codes in parallel"),
    ],
    "(2,503 titles, {} pictures, ranked among": [
        Cell("2026-11-26-fashion-adapt", "asked", {"figure": "picture to title, Recall@1"}, ",.0f")
    ],
    "from the picture and the title {} [{}, {}], from the title alone {}, from the picture alone {}; the first is "
    "ahead of the second by {} [{}, {}]": [
        *(filled("both", part) for part in range(3)),
        filled("words alone"),
        filled("picture"),
        *(filled("both - words alone", part) for part in range(3)),
    ],
    "with defaults: recall {}, precision {}. That needs": [
        duplicates(FOLDER, "recall"),
        duplicates(FOLDER, "precision"),
    ],
    "from vectors and titles alone it is {} and {}.": [duplicates(BUNDLE, "recall"), duplicates(BUNDLE, "precision")],
    "as each comes it is {} times as fast as infinity-emb": [
        Note("2026-11-25-embed", r"infinity-emb ([\d.]+) times"),
    ],
    "On one H100 (bfloat16) it is {} pictures a second, the open_clip loop {} and the bare forward pass {}:": [
        on_h100("mmrec embed"),
        on_h100("open_clip loop over files"),
        on_h100("bare forward pass"),
    ],
    "MiniLM: {} times `SentenceTransformer.encode` in float32, {} times in bfloat16.": [
        texts("float32"),
        texts("bfloat16"),
    ],
    "drawn at random: {} ms (p50, one thread) at recall@10 {} of exact search, built in {} s, {} bytes an item with "
    "the vectors; exact search takes {} ms.": [
        search("p50 ms, 1 thread", ".2f"),
        search("recall@10", ".3f"),
        search("build s", ".0f"),
        search("memory bytes/item", ",.0f"),
        search("p50 ms, 1 thread", ".0f", "faiss flat"),
    ],
    "micro-F1 {} fused, {} pictures, {} words; the next film among 329 that were never in training, Recall@10 {}, {} "
    "and {}.": [
        films("micro-F1", "fused"),
        films("micro-F1", "picture only"),
        films("micro-F1", "words only"),
        films(HELD_OUT, "fused"),
        films(HELD_OUT, "picture only"),
        films(HELD_OUT, "words only"),
    ],
    "Fused is ahead of words by {} [{}, {}] and {} [{}, {}]. The 470 pictures of the demonstration are encoded in "
    "{} s": [
        *(films("micro-F1", "fused - words only", part) for part in range(3)),
        *(films(HELD_OUT, "fused - words only", part) for part in range(3)),
        Cell("2026-11-30-language-demo-pictures", "encoded, s", {"pictures": 470}, ".1f"),
    ],
    "On an AMD EPYC it was {} and {} times": [
        Cell("2026-11-26-decode", "times", {"batch": batch}, ".0f") for batch in (1, 16)
    ],
    "a request takes at most {} times as long; the index takes {} to {} bytes an item and is built in {} s for ten "
    "million.": [
        Cell("2026-11-30-decode-growth", "times the first", {"items": 10_000_000}, ".1f"),
        growth(10_000, "bytes an item", ".0f"),
        growth(10_000_000, "bytes an item", ".0f"),
        growth(10_000_000, "build s", ".1f"),
    ],
    "Closing nodes takes {}% of a step without a filter, and {}% where every request has a filter": [
        closing("none", ".1f"),
        closing("3 in 10 pass, one filter per request", ".0f"),
    ],
    "a request takes {} to {} times as long as without.": [filtered("a number"), filtered("a number and a word")],
    "In {} random pairs of a filter and a request": [Note("2026-11-30-decode-filters", r"([\d,]+) random pairs")],
    "at {} a second, 20 recommendations a second went on without a failure: p99 {} ms, and {} ms without the upserts, "
    "{} times as long; each batch was recommended within {} s of its acknowledgement, and the server took {} GiB.": [
        Note(UPSERTS, r"[\d.]+ s, (\d+) a second"),
        Cell(UPSERTS, "p99 ms", {"": "during the upserts"}, ".1f"),
        Cell(UPSERTS, "p99 ms", {"": "quiet"}, ".1f"),
        Note(UPSERTS, r"is ([\d.]+) times the quiet one", ".2f"),
        Note(UPSERTS, r"([\d.]+) s at most", ".1f"),
        Note(UPSERTS, r"server: ([\d.]+) GiB quiet", ".1f"),
    ],
    "With all seven channels, at {} a second, none failed either; p50 {} ms ({} without the upserts), p99 {} ms ({}), "
    "{} times as long, and a batch was recommended within {} s at most.": [
        Note(UPSERTS_BLENDED, r"[\d.]+ s, (\d+) a second"),
        Cell(UPSERTS_BLENDED, "p50 ms", {"": "during the upserts"}, ".1f"),
        Cell(UPSERTS_BLENDED, "p50 ms", {"": "quiet"}, ".1f"),
        Cell(UPSERTS_BLENDED, "p99 ms", {"": "during the upserts"}, ".1f"),
        Cell(UPSERTS_BLENDED, "p99 ms", {"": "quiet"}, ".1f"),
        Note(UPSERTS_BLENDED, r"is ([\d.]+) times the quiet one", ".2f"),
        Note(UPSERTS_BLENDED, r"([\d.]+) s at most", ".1f"),
    ],
    "takes {} ms (p50) and {} ms (p99), {} times as long as among 10,000; 16 at once are answered at {} a second, one "
    "by one at {}. Loading takes {} s and {} GiB. Ranking every item instead of candidates takes {} ms": [
        scaled("p50 ms", ".1f"),
        scaled("p99 ms", ".1f"),
        Note("2026-12-01-scale", r"growth of p50 from 10,000 items: ([\d.]+) times"),
        scaled("per s, batch 16", ".0f"),
        scaled("per s", ".0f"),
        scaled("load s", ".0f"),
        scaled("GiB", ".2f"),
        scaled("exact p50 ms", ".0f"),
    ],
    "with its load on the same two cores, answers {} such requests a second of Amazon Beauty (12,101 items, histories "
    "of 50, every item ranked, a bundle fitted shortly), {} times what it answers one by one. At half of that p99 is {}"
    " ms; at twice that {} a second are answered within {} ms (p99), and the others are refused within {} ms": [
        Cell("2026-12-01-service", "answered/s", {"way": "batches, saturated"}, ".0f"),
        Note("2026-12-01-service", r"with batches: ([\d.]+) times"),
        Cell("2026-12-01-service", "p99 ms", {"way": "batches, half of that"}, ".0f"),
        Cell("2026-12-01-service", "answered/s", {"way": "batches, twice that"}, ".0f"),
        Cell("2026-12-01-service", "p99 ms", {"way": "batches, twice that"}, ".0f"),
        Cell("2026-12-01-service", "refused p50 ms", {"way": "batches, twice that"}, ".0f"),
    ],
    "it has Recall@1 / @10 of {} / {} from title to picture": [
        adapted(f"title to picture, Recall@{k}", "2026-11-30-fashion-adapt") for k in (1, 10)
    ],
    ", and {} and {} for article type and colour.": [
        adapted(f"zero-shot {column}", "2026-11-30-fashion-adapt") for column in ("article_type", "colour")
    ],
    "into a catalogue of 1,000,000, {} items a second with their words encoded": [
        Note(UPSERTS, r"[\d.]+ s, (\d+) a second"),
    ],
    "answers in {}, {}, {} and {} ms at batch 1, 2, 4 and 8": [on_gpu(batch) for batch in (1, 2, 4, 8)],
    "and in {}, {}, {} and {} ms without them": [on_gpu(batch, "eager ms") for batch in (1, 2, 4, 8)],
    "SID-GR publishes {}, {}, {} and {} ms": [on_gpu(batch, "SID-GR ms") for batch in (1, 2, 4, 8)],
    "That is {} requests a second at batch 64.": [on_gpu(64, "requests/s", ".0f")],
    "The constraint takes {} ms a step, {} to {} where every request has a filter of its own.": [
        gpu_closing(SEEN, 8),
        gpu_closing(FILTERED, 1),
        gpu_closing(FILTERED, 8),
    ],
}  # fmt: skip

_QUALITY = {
    "everything; what is served": "everything fused",
    "the LLM alone, both heads": "LLM, both heads",
    "its item head": "item head of the LLM alone",
    "its semantic IDs by beam search, 64 beams": "semantic-ID beam alone",
    "fused without transitions": "no transitions",
    "fused without the LLM": "no generator",
    "fused without TF-IDF of the words": "no lexical similarity",
    "fused, the LLM without learned residuals": "no ids: the LLM knows items by content alone",
    "fused, the LLM without content": "no content in the LLM: it knows items by ids alone",
    "fused without pictures": "no image",
    "fused without words, in any channel": "no text, in any channel",
    "floor: transition graph, TF-IDF, popularity": "floor: graph, words and popularity, no LLM",
    "floor: the transition channel": "floor: transition graph",
    "cosine of fused embeddings to recent items": "content similarity",
    "floor: TF-IDF of the words": "floor: lexical similarity",
    "floor: item-kNN over the last ten": "floor: item-kNN",
    "floor: what came after the last item": "floor: last-item transitions",
    "floor: popularity": "floor: popularity",
    "peer: SASRec": "peer: SASRec (RecTools)",
    "peer: SASRec with the items' columns as features": "peer: SASRec with categories (RecTools)",
    "peer: HSTU": "peer: HSTU, generative (RecTools)",
    "peer: TIGER, cut after one pass": "peer: TIGER, generative (torch-rechub)",
}
_COLUMNS = [(name, column) for name in ("beauty", "movielens") for column in ("HR@10", "NDCG@10", "NDCG@10, seen kept")]
_ABSENT = {("beauty", "no image"), ("movielens", "peer: TIGER, generative (torch-rechub)")}
_NOT_KEPT = ("no transitions", "no generator", "no lexical similarity")
_ADAPTED = {
    "picture to title, Recall@10": "picture to title, Recall@10",
    "zero-shot label: master category (7)": "zero-shot master_category",
    "zero-shot label: article type (140)": "zero-shot article_type",
    "zero-shot label: colour (46)": "zero-shot colour",
}
_ADAPT_FILES = ("2026-11-26-fashion-adapt", "2026-11-25-fashion-adapt-h100")
_EMBEDDED = {
    "the bare forward pass on tensors in memory": "bare forward pass",
    "`mmrec embed`, files to Parquet": "mmrec embed",
    "a loop over files with open_clip": "open_clip loop over files",
    "a loop over files with sentence-transformers": "sentence-transformers loop over files",
}


def _language_rows() -> dict[str, list[str]]:
    def joined(*cells: Cell) -> str:
        return " / ".join(cell.shown() for cell in cells)

    both = "words, then nearest value by MiniLM"
    columns = ("slot precision", "slot F1", "exact")
    moved = ("share of the first 10", "NDCG@10")
    films = {
        "wish for the genre of the customer's next film, named: share of the first 10 / NDCG@10": "named",
        "the same, paraphrased without the genre's name": "paraphrased",
    }
    ratings = {
        "RMSE of each user's last rating": "last rating of each user",
        "RMSE of a random fifth of all ratings, 5 seeds": "random 80/20, 5 seeds",
    }
    floor_of_lies = Cell(EXPLAINED, "share", {"measured": "  by the floor", "of": 1008})
    floor = "best-rated film on the customer's services"
    passes = ("pass^1", "pass^4")
    plain = [dressed("named", about, "without the wish").shown() for about in ("colour", "article_type")]
    kinds = ("colour", "article_type")
    rows = {
        "313 sentences to conditions: precision / F1 / all exact": [
            joined(*(parsed(both, column) for column in columns)),
            f"words alone, without vectors: {joined(*(parsed('words alone', column) for column in columns))}",
        ],
        "3,000 products, no events: colour or type wished for by name, share of the first 10": [
            dressed("named", "all of these", "mmrec").shown(),
            f"without the wish: {plain[0]} and {plain[1]}",
        ],
        'the same, paraphrased ("like a ripe lemon"): colour / type': [
            "{}; with `--dictionary` {}".format(
                *(joined(*(dressed("paraphrased", kind, by) for kind in kinds)) for by in ("mmrec", DEFINED))
            ),
            f"{BY_MINILM}: {joined(*(dressed('paraphrased', kind, BY_MINILM) for kind in kinds))}",
        ],
        "30 tasks of a scripted customer over 153 films without events, 5 seeds: pass^1 / pass^4": [
            joined(*(talked("mmrec, over gRPC", column) for column in passes)),
            f"{floor}: {joined(*(talked(floor, column) for column in passes))}",
        ],
        "statements of 10,000 explained recommendations that rest on evidence": [
            explained("statements: all").shown(),
            "",
        ],
        "planted lies in reworded statements that are caught": [
            explained("lies caught: all").shown(),
            f"a checker of names and numbers: {floor_of_lies.shown()}",
        ],
    }
    for words, sentence in films.items():
        by_filter = joined(*(steered(sentence, BY_MINILM, column) for column in moved))
        rows[words] = [
            joined(*(steered(sentence, "mmrec", column) for column in moved)),
            f"nearest genre by MiniLM as a filter: {by_filter}",
        ]
    for words, kind in ratings.items():
        peers = ", ".join(f"{name} {rated(kind, name).shown()}" for name in ("SVD++", "SVD", "biases"))
        rows[words] = [rated(kind, "mmrec").shown(), peers]
    return rows


def _tables() -> dict[str, list[str]]:
    """Cells of the README's rows of figures, by the words of the row."""
    rows: dict[str, list[str]] = {}
    for words, name in _QUALITY.items():
        cells = []
        for dataset, column in _COLUMNS:
            absent = (dataset, name) in _ABSENT or (name in _NOT_KEPT and "kept" in column)
            cells.append("" if absent else quality(dataset, name, column).shown())
        rows[words] = cells
    rows |= _language_rows()
    rows["title to picture, Recall@1 / @10"] = [
        " / ".join(adapted(f"title to picture, Recall@{k}", file).shown() for k in (1, 10)) for file in _ADAPT_FILES
    ]
    for words, name in _ADAPTED.items():
        rows[words] = [adapted(name, file).shown() for file in _ADAPT_FILES]
    for words, name in _EMBEDDED.items():
        rows[words] = [embedded(name, dtype).shown() for dtype in ("float32", "bfloat16")]
    rows["infinity-emb, which computes in float32 on a CPU"] = [embedded("infinity-emb", "float32").shown(), "-"]
    for words, batch in (("one by one", 1), ("16 at once", 16)):
        form = ",.0f"
        rate, peer = decoded(batch, "mmrec requests/s", form), decoded(batch, "generate requests/s", ".1f")
        rows[words] = [rate.shown(), peer.shown(), decoded(batch, "times", form).shown()]
    return rows


NOT_MEASURED_HERE = Counter({"0.0384": 1, "0.0610": 1, "1.7": 1})
"""NDCG@10 that TIGER's authors and BSARec's report, and the size in the name of a model."""


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("sentence", FIGURES)
def test_a_figure_in_a_sentence_is_the_stored_one(sentence: str, readme: str) -> None:
    assert sentence.count("{}") == len(FIGURES[sentence])
    assert flat(sentence.format(*(cell.shown() for cell in FIGURES[sentence]))) in flat(readme)


@pytest.mark.parametrize("words", _tables())
def test_a_row_of_figures_is_the_stored_one(words: str, readme: str) -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in readme.splitlines() if f"| {words} |" in line
    ]
    assert len(rows) == 1
    assert rows[0][rows[0].index(words) + 1 :] == _tables()[words]


def test_every_figure_of_what_is_measured_has_a_stored_result(readme: str) -> None:
    section = readme.partition("## What is measured")[2].partition("\n## ")[0]
    text = flat("\n".join(line for line in section.splitlines() if not line.startswith("|")))
    for sentence, cells in FIGURES.items():
        text = text.replace(flat(sentence.format(*(cell.shown() for cell in cells))), " ")
    assert Counter(re.findall(r"\d+\.\d+", text)) == NOT_MEASURED_HERE
    rows = [line for line in section.splitlines() if re.search(r"\| .*\d\.\d", line)]
    assert len(rows) == len([cells for cells in _tables().values() if any("." in cell for cell in cells)])


def test_figures_of_a_catalogue_of_a_million_items_name_what_ranked(readme: str) -> None:
    conditions = stored(UPSERTS)["conditions"]
    assert "the generator alone ranks" in conditions
    about = next(part for part in readme.split("\n\n") if "served catalogue of 1,000,000" in flat(part))
    assert "The generator alone ranked" in flat(about)
    assert "is left out" in flat(about)
