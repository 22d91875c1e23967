"""Items whose pictures are hostile fail one by one, and their neighbours do not notice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmrec.contract.items import ItemInput
from mmrec.errors import InvalidImageError
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder
from tests.data.hostile_pictures import hostile_pictures
from tests.data.picture_parts import png
from tests.data.sound_pictures import sound_pictures


def test_every_hostile_picture_is_an_error_of_its_own_item(encoder_bundle: Path) -> None:
    encoder = _encoder(encoder_bundle)
    good = ItemInput("good", "Mug 1", "A mug of clay.", png())
    # An item refuses the picture of no bytes by itself.
    hostile = {name: data for name, data in hostile_pictures().items() if data}
    assert len(hostile) == len(hostile_pictures()) - 1
    items = [ItemInput(name, f"Mug {number}", image=data) for number, (name, data) in enumerate(hostile.items())]
    results = encoder.encode_inputs([good, *items, good])
    (alone,) = encoder.encode_inputs([good])
    for result in (results[0], results[-1]):
        np.testing.assert_allclose(result, alone, atol=1e-5)
    for result in results[1:-1]:
        assert isinstance(result, InvalidImageError)
        assert [violation.field for violation in result.violations] == ["image"]


def test_every_odd_but_sound_picture_gets_a_vector(encoder_bundle: Path) -> None:
    items = [ItemInput(name, image=sound.data) for name, sound in sound_pictures().items()]
    results = _encoder(encoder_bundle).encode_inputs(items)
    assert len(results) == len(sound_pictures())
    assert {type(result) for result in results} == {np.ndarray}


def _encoder(bundle: Path) -> ItemEncoder:
    (folder,) = bundle.glob("versions/*/encoders")
    return load_item_encoder(folder, device="cpu")
