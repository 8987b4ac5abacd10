from pathlib import Path

import pytest

from server.wire.access import (
    CONTROL,
    EITHER,
    PREDICT,
    ForbiddenError,
    UnauthenticatedError,
    read_tokens,
    scopes_for,
)
from server.wire.reloading import UnusableFileError

SALT = b"s" * 32
OIP = "inference.GRPCInferenceService"
FILE = """
# who asks
reader-reader-reader predict
admin-admin-admin-admin control
both-both-both-both predict, control
"""


@pytest.fixture(name="file")
def fixture_file(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text(FILE)
    return file


@pytest.mark.parametrize(
    ("authorization", "scopes"),
    [
        ("Bearer reader-reader-reader", PREDICT),
        ("bearer admin-admin-admin-admin", CONTROL),
        ("Bearer  both-both-both-both ", EITHER),
        ("Bearer reader-reader-reade", None),
        ("Bearer reader-reader-reader2", None),
        ("Basic reader-reader-reader", None),
        ("reader-reader-reader", None),
        ("Bearer", None),
        ("", None),
        ("Bearer \udcff", None),
    ],
)
def test_a_token_has_the_scopes_of_its_line(
    file: Path, authorization: str, scopes: frozenset[str] | None
) -> None:
    assert read_tokens(file, SALT).scopes_of(authorization) == scopes


def test_an_unknown_token_and_one_of_another_scope_are_told_apart(file: Path) -> None:
    tokens = read_tokens(file, SALT)
    tokens.check(PREDICT, "Bearer reader-reader-reader")
    with pytest.raises(UnauthenticatedError, match="wants a token it knows"):
        tokens.check(PREDICT, "Bearer nobodys-nobodys-nobodys")
    with pytest.raises(ForbiddenError, match="needs a token with the scope control; this token has predict"):
        tokens.check(CONTROL, "Bearer reader-reader-reader")


def test_the_tokens_themselves_are_not_kept(file: Path) -> None:
    tokens = read_tokens(file, SALT)
    assert "reader" not in repr(tokens)
    assert {len(digest) for digest, _ in tokens.scopes} == {32}
    assert read_tokens(file, b"t" * 32).scopes != tokens.scopes


def test_the_same_file_read_twice_is_the_same(file: Path) -> None:
    assert read_tokens(file, SALT) == read_tokens(file, SALT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has 0 tokens; it must have 1 to 1000"),
        ("# nothing\n", "has 0 tokens; it must have 1 to 1000"),
        ("short predict", "line 1: the token has 5 characters; it must have 16"),
        ("reader-reader-reader", "line 1: after the token come its scopes, predict or control or both"),
        ("\nreader-reader-reader root", "line 2: after the token come its scopes"),
        (
            "reader-reader-reader predict\nreader-reader-reader control",
            "line 2: the token is given twice, with other scopes",
        ),
        ("reader-reader-reader predict\n , ,\n", "line 2: the token has 0 characters"),
        ("\n".join(f"reader-reader-{i:04} predict" for i in range(1001)), "has 1001 tokens"),
    ],
)
def test_a_file_that_is_wrong_says_where_and_quotes_no_token(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "tokens").write_text(text)
    with pytest.raises(UnusableFileError) as raised:
        read_tokens(tmp_path / "tokens", SALT)
    assert said in str(raised.value)
    assert "reader-reader" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match=r"can't read .*tokens: No such file or directory"):
        read_tokens(tmp_path / "tokens", SALT)
    (tmp_path / "tokens").write_bytes(b"\xff\xfe")
    with pytest.raises(UnusableFileError, match=r"can't read .*tokens: it is not UTF-8"):
        read_tokens(tmp_path / "tokens", SALT)


@pytest.mark.parametrize(
    ("service", "name", "scopes"),
    [
        (OIP, "ModelInfer", PREDICT),
        (OIP, "RepositoryIndex", PREDICT),
        (OIP, "RepositoryModelLoad", CONTROL),
        (OIP, "RepositoryModelUnload", CONTROL),
        ("tensorflow.serving.PredictionService", "Predict", PREDICT),
        ("tensorflow.serving.ModelService", "GetModelStatus", PREDICT),
        ("tensorflow.serving.ModelService", "HandleReloadConfigRequest", CONTROL),
        ("unisono.v1.Control", "Refit", CONTROL),
        ("unisono.v1.Control", "AnythingNew", CONTROL),
        ("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo", EITHER),
        ("grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo", EITHER),
    ],
)
def test_every_method_needs_a_scope(service: str, name: str, scopes: frozenset[str]) -> None:
    assert scopes_for(service, name) == scopes
