"""What the members of one ensemble must agree on."""

import pytest

from ensemble.errors import InvalidModelError
from ensemble.publishing.agreement import (
    class_names,
    ensemble_signature,
    one_class_count,
    with_scores_output,
)
from ensemble.signature import Signature, TensorSpec

X = TensorSpec("x", "float32", (4,))
Z = TensorSpec("z", "int64", (2,))
LABEL = TensorSpec("label", "int64", ())
PROBABILITIES = TensorSpec("probabilities", "float32", (3,))
LOGITS = TensorSpec("logits", "float64", (-1,))


def test_the_only_output_of_floats_by_class_is_the_scores() -> None:
    signature = Signature((X,), (LABEL, PROBABILITIES))

    assert with_scores_output("forest", signature, None) == Signature((X,), (PROBABILITIES,))


def test_the_scores_can_be_named() -> None:
    signature = Signature((X,), (LOGITS, PROBABILITIES))

    assert with_scores_output("net", signature, "logits") == Signature((X,), (LOGITS,))


@pytest.mark.parametrize(
    ("outputs", "wanted", "what"),
    [
        (
            (LOGITS, PROBABILITIES),
            None,
            r"2 outputs that can be scores, \['logits', 'probabilities'\]; .*net=logits",
        ),
        ((LABEL,), None, r"member 'net' has no output of floats \[row, class\], among \['label'\]"),
        ((LABEL, PROBABILITIES), "label", r"no output 'label' of floats .* it has \['probabilities'\] among"),
        ((PROBABILITIES,), "nothing", "no output 'nothing'"),
    ],
)
def test_outputs_that_leave_it_open_are_refused(
    outputs: tuple[TensorSpec, ...], wanted: str | None, what: str
) -> None:
    with pytest.raises(InvalidModelError, match=what):
        with_scores_output("net", Signature((X,), outputs), wanted)


def test_the_ensemble_takes_the_inputs_of_all_members() -> None:
    members = {
        "a": Signature((X,), (PROBABILITIES,)),
        "b": Signature((Z, X), (PROBABILITIES,)),
    }

    assert ensemble_signature(members, 3) == Signature((X, Z), (TensorSpec("scores", "float32", (3,)),))


@pytest.mark.parametrize("other", [TensorSpec("x", "float64", (4,)), TensorSpec("x", "float32", (5,))])
def test_two_tensors_of_one_name_are_refused(other: TensorSpec) -> None:
    members = {"a": Signature((X,), (PROBABILITIES,)), "b": Signature((other,), (PROBABILITIES,))}

    with pytest.raises(
        InvalidModelError, match=r"input 'x' is float32 \[4\] for member 'a' and float\d\d \[\d\] for 'b'"
    ):
        ensemble_signature(members, 3)


def test_members_with_other_numbers_of_classes_are_refused_with_each_number() -> None:
    with pytest.raises(InvalidModelError, match="a has 10, b has 10, c has 3; leave some out"):
        one_class_count({"a": 10, "b": 10, "c": 3})


def test_members_that_agree_have_one_number_of_classes() -> None:
    assert one_class_count({"a": 10, "b": 10}) == 10


def test_classes_are_numbered_unless_they_are_named() -> None:
    assert class_names(3, None) == ("0", "1", "2")
    assert class_names(2, ["no", "yes"]) == ("no", "yes")


@pytest.mark.parametrize("given", [["no"], ["no", "no"], ["a", "b", "c"]])
def test_names_that_do_not_fit_the_classes_are_refused(given: list[str]) -> None:
    with pytest.raises(InvalidModelError, match=r"the members score 2 classes; \d distinct names are given"):
        class_names(2, given)
