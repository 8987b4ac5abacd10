import numpy as np

from training.data.images import with_ink, with_profile, with_shifted
from training.data.parts import Part

ONE = Part({"image": np.array([[[1, 2], [3, 4]]], np.float32).reshape(1, 2, 2, 1)}, np.array([7]))


def test_shifted_images_are_moved_by_one_pixel_and_keep_their_labels() -> None:
    shifted = with_shifted(ONE)
    assert shifted.label is not None
    assert shifted.label.tolist() == [7] * 5
    assert shifted.inputs["image"].reshape(5, 4).tolist() == [
        [1, 2, 3, 4],
        [0, 0, 1, 2],
        [3, 4, 0, 0],
        [0, 1, 0, 3],
        [2, 0, 4, 0],
    ]


def test_a_profile_is_the_mean_of_each_line_across_and_down() -> None:
    part = with_profile(ONE)
    assert part.inputs["profile"].tolist() == [[1.5, 3.5, 2.0, 3.0]]
    assert part.inputs["profile"].dtype == np.float32
    assert part.inputs["image"] is ONE.inputs["image"]


def test_ink_is_the_percentage_of_full_brightness() -> None:
    part = with_ink(Part({"image": np.full((2, 4, 4, 1), [[[[0.25]]]], np.float32)}, np.array([1, 2])))
    assert part.value is not None
    assert part.value.tolist() == [25.0, 25.0]


def test_moved_images_keep_their_other_inputs_and_values() -> None:
    part = with_shifted(with_ink(with_profile(ONE)))
    assert part.value is not None
    assert part.value.tolist() == [250.0] * 5
    assert part.inputs["profile"].tolist() == [[1.5, 3.5, 2.0, 3.0]] * 5
