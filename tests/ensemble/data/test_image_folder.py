"""Folders of images: what is decoded, how it is arranged, and what a bad file does to its neighbours."""

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ensemble.data import images
from ensemble.data.dataset import open_dataset
from ensemble.errors import InvalidDataError
from ensemble.signature import Signature, TensorSpec
from model_store.errors import StoreUnavailableError

SCORES = TensorSpec("scores", "float32", (3,))


def signature(*shape: int, dtype: str = "float32") -> Signature:
    return Signature((TensorSpec("image", dtype, shape),), (SCORES,))


def pixels(seed: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write(path: Path, values: NDArray[Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)
    return path


def read(path: Path, wanted: Signature, **options: Any) -> tuple[NDArray[Any], list[Any]]:
    """All images that fit, as one array, and the bad rows."""
    dataset = open_dataset([path], wanted, lenient=True, **options)
    good, bad = [], []
    for chunks, rows in dataset.sifted(dataset.cursor(8), 0, dataset.rows):
        good += [chunk.rows["image"] for chunk in chunks]
        bad += rows
    return np.concatenate(good) if good else np.empty(0), bad


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that says it has that many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_images_come_in_the_order_of_their_names_with_values_from_0_to_255(tmp_path: Path) -> None:
    expected = [pixels(seed, 4, 6, 3) for seed in range(3)]
    write(tmp_path / "in/b/1.png", expected[1])
    write(tmp_path / "in/c.PNG", expected[2])
    write(tmp_path / "in/a/9.png", expected[0])
    write(tmp_path / "in/_hidden/1.png", expected[0])
    (tmp_path / "in/notes.txt").write_text("not an image")
    good, bad = read(tmp_path / "in", signature(4, 6, 3))
    assert good.dtype == np.float32
    assert np.array_equal(good, expected)
    assert not bad


@pytest.mark.parametrize(
    ("shape", "arranged"),
    [
        ((4, 6), lambda grey: grey),
        ((4, 6, 1), lambda grey: grey[..., None]),
        ((1, 4, 6), lambda grey: grey[None]),
    ],
)
def test_a_grey_image_has_the_axes_that_the_ensemble_takes(
    shape: tuple[int, ...], arranged: Any, tmp_path: Path
) -> None:
    grey = pixels(0, 4, 6)
    path = write(tmp_path / "a.png", grey)
    good, _ = read(path, signature(*shape, dtype="uint8"))
    assert np.array_equal(good, arranged(grey)[None])


def test_channels_are_those_of_the_signature(tmp_path: Path) -> None:
    grey, colour = pixels(0, 4, 6), pixels(1, 4, 6, 4)
    write(tmp_path / "in/a.png", grey)
    write(tmp_path / "in/b.png", colour)
    good, _ = read(tmp_path / "in", signature(4, 6, 3, dtype="uint8"))
    assert np.array_equal(good, [np.stack([grey] * 3, axis=-1), colour[..., :3]])
    first, _ = read(tmp_path / "in", signature(3, 4, 6, dtype="uint8"))
    assert np.array_equal(first, np.moveaxis(good, -1, 1))


def test_jpeg_is_read_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", np.full((8, 8), 77, np.uint8), quality=100)
    good, _ = read(path, signature(8, 8))
    assert np.array_equal(good, np.full((1, 8, 8), 77))


def test_one_bad_image_is_one_error_row(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    fine = pixels(0, 4, 6)
    for name in ("a", "c", "i"):
        write(folder / f"{name}.png", fine)
    write(folder / "b.png", pixels(0, 6, 4))
    (folder / "d.png").write_bytes((folder / "a.png").read_bytes()[:-40])
    (folder / "e.png").write_bytes(b"no image")
    (folder / "f.png").write_bytes(b"")
    write(folder / "g.png", np.arange(24, dtype=np.uint16).reshape(4, 6) * 1000)
    (folder / "h.png").write_bytes(bomb(100_000, 100_000))
    with io.BytesIO() as file:
        Image.fromarray(fine).save(file, format="GIF")
        (folder / "gif.png").write_bytes(file.getvalue())
    good, bad = read(folder, signature(4, 6))
    assert len(good) == 3
    assert [(row.row, row.code, row.message.partition(" ")[0]) for row in bad] == [
        (1, "shape", "b.png"),
        (3, "parse", "d.png"),
        (4, "parse", "e.png"),
        (5, "parse", "f.png"),
        (6, "type", "g.png"),
        (7, "parse", "gif.png"),
        (8, "parse", "h.png"),
    ]
    assert bad[0].message == (
        "b.png is 4 x 6 pixels, the ensemble takes 6 x 4 (width x height):"
        " resize it as the members' images were"
    )
    assert bad[4].message == "g.png holds values of mode 'I;16', not bytes: store it with 8 bits a channel"
    assert {row.source for row in bad} == {folder}


def test_bytes_that_are_no_image_are_listed_in_the_same_words_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"no image")
    _, (row,) = read(path, signature(4, 6))
    assert row.message == "can't be decoded: its bytes are no PNG or JPEG"


def test_a_file_of_too_many_bytes_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "BYTES_AT_MOST", 1000)
    path = write(tmp_path / "in/a.png", pixels(0, 4, 6))
    (tmp_path / "in/b.png").write_bytes(path.read_bytes().ljust(1001, b"\0"))
    good, bad = read(tmp_path / "in", signature(4, 6))
    assert len(good) == 1
    assert [(row.row, row.code, row.message) for row in bad] == [
        (1, "size", "b.png has 1,001 bytes, more than 1,000: resize it")
    ]


def test_a_folder_that_is_called_like_an_image_is_none(tmp_path: Path) -> None:
    write(tmp_path / "in/album.png/1.png", pixels(0, 4, 6))
    good, bad = read(tmp_path / "in", signature(4, 6))
    assert (len(good), bad) == (1, [])


def test_a_disk_that_fails_makes_no_image_a_bad_row(tmp_path: Path) -> None:
    path = write(tmp_path / "in/a.png", pixels(0, 4, 6))
    dataset = open_dataset([tmp_path / "in"], signature(4, 6), lenient=True)
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreUnavailableError, match=r"in: row 0: a\.png can't be read: Is a directory"):
        list(dataset.sifted(dataset.cursor(8), 0, 1))


def test_what_fails_while_an_image_is_read_is_no_fault_of_its_bytes() -> None:
    class Failing(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        images.decode(Failing(b"bytes"), images.Layout(TensorSpec("x", "uint8", (2, 2))))


def test_where_any_size_is_taken_a_bomb_is_never_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "PIXELS_AT_MOST", 100)
    write(tmp_path / "in/a.png", pixels(0, 10, 10))
    write(tmp_path / "in/b.png", pixels(0, 5, 4))
    (tmp_path / "in/c.png").write_bytes(bomb(101, 1))
    dataset = open_dataset([tmp_path / "in"], signature(-1, -1), lenient=True)
    ((chunks, bad),) = dataset.sifted(dataset.cursor(8), 0, 3)
    assert [each.rows["image"].shape for each in chunks] == [(1, 10, 10), (1, 5, 4)]
    assert [(row.row, row.message) for row in bad] == [
        (2, "c.png is 101 x 1 pixels, more than 100: resize it")
    ]


def test_folders_are_labels_and_names_can_be_kept(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/1.png", "cat/2.png"):
        write(tmp_path / "in" / name, pixels(0, 2, 2))
    dataset = open_dataset(
        [tmp_path / "in"],
        signature(2, 2),
        label="class",
        classes=["ant", "cat", "dog"],
        identity="file",
        keep=["class"],
    )
    (found,) = dataset.batches(8)
    assert found.labels is not None
    assert found.labels.tolist() == [1, 1, 2]
    assert found.kept["file"].to_pylist() == ["cat/1.png", "cat/2.png", "dog/1.png"]
    assert found.kept["class"].to_pylist() == ["cat", "cat", "dog"]


def test_a_single_image_is_kept_under_its_own_name(tmp_path: Path) -> None:
    path = write(tmp_path / "one.png", pixels(0, 2, 2))
    (found,) = open_dataset([path], signature(2, 2), keep=["file"]).batches(8)
    assert found.kept["file"].to_pylist() == ["one.png"]


def test_images_without_a_folder_have_no_class(tmp_path: Path) -> None:
    write(tmp_path / "in/1.png", pixels(0, 2, 2))
    with pytest.raises(InvalidDataError, match="has images outside of folders, so they have no class"):
        open_dataset([tmp_path / "in"], signature(2, 2), label="class")


def test_other_columns_there_are_none(tmp_path: Path) -> None:
    path = write(tmp_path / "1.png", pixels(0, 2, 2))
    with pytest.raises(InvalidDataError, match="images have no column 'age', only file and class"):
        open_dataset([path], signature(2, 2), keep=["age"])


@pytest.mark.parametrize("shape", [(), (4,), (5, 4, 2), (1, 2, 3, 4)])
def test_an_ensemble_that_takes_no_images_is_told_so(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = write(tmp_path / "1.png", pixels(0, 2, 2))
    with pytest.raises(InvalidDataError, match=r"and images are \[height, width, channels\]"):
        open_dataset([path], signature(*shape))


def test_an_ensemble_of_several_inputs_takes_no_images(tmp_path: Path) -> None:
    path = write(tmp_path / "1.png", pixels(0, 2, 2))
    specs = (TensorSpec("image", "float32", (2, 2)), TensorSpec("age", "float32", ()))
    with pytest.raises(InvalidDataError, match="the ensemble has several inputs"):
        open_dataset([path], Signature(specs, (SCORES,)))


def test_without_pillow_the_way_to_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "1.png", pixels(0, 2, 2))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InvalidDataError, match=r"needs Pillow: pip install 'unisono\[images\]'"):
        open_dataset([path], signature(2, 2))


def test_the_digest_of_a_folder_knows_which_class_an_image_is_in(tmp_path: Path) -> None:
    write(tmp_path / "one/a/1.png", pixels(0, 2, 2))
    write(tmp_path / "two/b/1.png", pixels(0, 2, 2))
    one, two = (open_dataset([tmp_path / name], signature(2, 2)).digest for name in ("one", "two"))
    assert one != two
