"""Folders of images in a bucket, as what elsewhere is a file. tests/.../test_locations.py has real ones."""

import pytest

from ensemble.data.folders import RemoteFolder
from model_store.bucket_data import DataBucket, DataFile


def test_a_folder_has_what_a_file_has_but_bytes() -> None:
    bucket = DataBucket.connect("s3", "pictures")
    found = [
        (name, bucket.known(f"in/2026.05/{name}", size, "etag"))
        for name, size in (("a.png", 3), ("b.txt", 4))
    ]
    folder = RemoteFolder.of("s3://pictures/in/2026.05/", found)
    assert (folder.name, folder.stem, folder.suffix, folder.size) == ("2026.05", "2026.05", "", 3)
    assert folder.names == ("a.png",)
    with pytest.raises(IsADirectoryError, match=r"s3://pictures/in/2026\.05/ is a folder"):
        folder.open()


def test_its_etag_changes_with_the_name_size_and_etag_of_each_image() -> None:
    client = DataBucket.connect("s3", "pictures").client

    def etag(*images: tuple[str, int, str]) -> str:
        files = [(key, DataFile(client, "s3://pictures", key, size, etag)) for key, size, etag in images]
        return RemoteFolder.of("s3://pictures/", files).etag

    variants = [
        [("a.png", 1, "x")],
        [("b.png", 1, "x")],
        [("a.png", 2, "x")],
        [("a.png", 1, "y")],
        [("a.png", 1, "x"), ("b.png", 1, "x")],
    ]
    assert len({etag(*images) for images in variants}) == len(variants)
    assert etag(("a.png", 1, "x")) == etag(("a.png", 1, "x"))
