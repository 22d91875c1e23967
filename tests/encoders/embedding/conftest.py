"""Small catalogues, and tiny models that embed them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.fusion_training import FusionConfig, train_fusion
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import save_item_encoder
from mmrec_encoders.open_clip_images import OpenClipImageEncoder
from mmrec_encoders.open_clip_models import OpenClipConfig
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from tests.encoders.contracts import drawn
from tests.encoders.models import bert_folder, open_clip_folder


def write_catalogue(root: Path, items: int = 14) -> Path:
    """Items with pictures and words; a few pictures and texts repeat, one row and two pictures cannot be used.

    Row 3 repeats the picture of row 0, row 12 that of row 1, row 13 the words of row 2. Row 4 has a picture that is
    none, row 6 one that is missing. Row 8 has no id, row 9 neither a picture nor words.
    """
    (root / "images").mkdir(parents=True)
    rows = ["item_id\ttitle\tcolour\timage"]
    for number in range(items):
        colour = ((number * 67) % 256, (number * 31) % 256, (number * 101) % 256)
        drawn(40, 36, colour, number % 9).save(root / "images" / f"{number}.png")
        rows.append(f"i{number}\tMug {number}\t{['red', 'blue'][number % 2]}\t{number}.png")
    images = root / "images"
    (images / "3.png").write_bytes((images / "0.png").read_bytes())
    (images / "12.png").write_bytes((images / "1.png").read_bytes())
    (images / "4.png").write_bytes(b"GIF89a, or not")
    (images / "6.png").unlink()
    rows[9] = "\tNo id\tred\t8.png"
    rows[10] = "i9\t\t\t"
    rows[14] = "i13\tMug 2\tred\t13.png"
    (root / "items.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    events = ["user_id\titem_id\tposition"]
    events += [f"u{user}\ti{(user + 3 * step) % items}\t{step}" for user in range(4) for step in range(3)]
    (root / "events.tsv").write_text("\n".join(events) + "\n", encoding="utf-8")
    return root


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """See `write_catalogue`."""
    return write_catalogue(tmp_path / "catalogue")


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert_folder(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="session")
def image_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_clip_folder(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory, image_model: Path, text_model: Path) -> Path:
    """A folder of encoders with a fusion: 32 and 24 dimensions in, 16 out, of which 8 are usable alone."""
    features = ItemFeatures(
        unit_vectors(40, 32, seed=1), np.ones(40, np.bool_), unit_vectors(40, 24, seed=2), np.arange(40) % 5 != 0
    )
    fusion = train_fusion(
        features,
        np.zeros((0, 2), np.int64),
        FusionConfig(dimension=16, prefixes=(8,), steps=5, batch_size=8),
        device="cpu",
    )
    image = OpenClipImageEncoder(OpenClipConfig(f"local-dir:{image_model}", device="cpu", dtype="float32"))
    text = SentenceTextEncoder(SentenceTextConfig(str(text_model), device="cpu", dtype="float32"))
    folder = tmp_path_factory.mktemp("models") / "encoders"
    save_item_encoder(ItemEncoder(image, text, fusion), folder)
    return folder


def unit_vectors(rows: int, length: int, seed: int) -> npt.NDArray[np.float32]:
    """Drawn vectors of length one. Shape: (rows, length), float32."""
    vectors = np.random.default_rng(seed).normal(size=(rows, length)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
