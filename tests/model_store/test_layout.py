from pathlib import Path

import pytest

from model_store.errors import InvalidNameError
from model_store.folder import Folder
from model_store.layout import Layout


def test_a_name_that_could_be_a_path_has_no_layout(tmp_path: Path) -> None:
    with pytest.raises(InvalidNameError):
        Layout(Folder(tmp_path), "../digits")
