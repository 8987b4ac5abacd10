"""From the bytes of a PNG or JPEG file to an array, trusting nothing that the file says of itself.

The only module that knows Pillow, which the extra `images` installs.
"""

import os
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from model_store.errors import StoreError

from ..errors import InvalidDataError
from ..signature import ANY_SIZE, TensorSpec
from .damage import is_damage
from .opening import File

IMAGE_ENDINGS = (".jpeg", ".jpg", ".png")
FORMATS = ("PNG", "JPEG")
# Of these modes each value is a byte, or can be one without changing; others hold 16 bits or floats.
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
# Decoded only below this. Where the ensemble takes one size only, no other is decoded anyway.
PIXELS_AT_MOST = 1 << 26
# What so many pixels take as they are. A decoder may hold any part of a file at once, whatever the pixels.
BYTES_AT_MOST = 4 * PIXELS_AT_MOST
AXES = 3  # height, width, channels


class Layout:
    """How the ensemble takes images: [height, width], or with channels, which may be first or last."""

    def __init__(self, spec: TensorSpec) -> None:
        """Read it off the shape; `InvalidDataError` if no image is like that."""
        shape = spec.shape
        first = len(shape) == AXES and shape[2] not in CHANNELS and shape[0] in CHANNELS
        self.channels = 1 if len(shape) == AXES - 1 else shape[0 if first else -1] if shape else 0
        if len(shape) not in (AXES - 1, AXES) or self.channels not in CHANNELS or spec.dtype == "bytes":
            raise InvalidDataError(
                f"input {spec.name!r} takes {spec.dtype} of shape {list(shape)}, and images are"
                " [height, width, channels] with 1, 3 or 4 channels: store the rows in a file of arrays"
            )
        self.first = first
        self.flat = len(shape) == AXES - 1
        self.height, self.width = shape[1:] if first else shape[:2]

    def check(self, width: int, height: int) -> None:
        """Raise `InvalidDataError` unless an image of that size fits."""
        if self.height not in (height, ANY_SIZE) or self.width not in (width, ANY_SIZE):
            raise InvalidDataError(
                f"is {width} x {height} pixels, the ensemble takes {_size(self.width)} x {_size(self.height)}"
                " (width x height): resize it as the members' images were",
                code="shape",
            )
        if width * height > PIXELS_AT_MOST:
            raise InvalidDataError(
                f"is {width} x {height} pixels, more than {PIXELS_AT_MOST:,}: resize it", code="shape"
            )

    def pixels(self, image: Any) -> NDArray[np.uint8]:
        """Return Pillow's `image` as the ensemble takes it; `InvalidDataError` if its values are no bytes."""
        if image.mode not in MODES:
            raise InvalidDataError(
                f"holds values of mode {image.mode!r}, not bytes: store it with 8 bits a channel", code="type"
            )
        mode = CHANNELS[self.channels]
        return self._arranged(np.asarray(image if image.mode == mode else image.convert(mode), np.uint8))

    def _arranged(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return [height, width] or [height, width, channels] with the axes that the ensemble takes."""
        if self.flat:
            return pixels
        image = pixels.reshape((*pixels.shape[:2], self.channels))
        return np.moveaxis(image, -1, 0) if self.first else image


def need_pillow(path: File) -> None:
    """Raise `InvalidDataError` where images can't be read."""
    try:
        import PIL  # noqa: F401, PLC0415 - an extra: whoever has no images needs none
    except ImportError:
        raise InvalidDataError(
            f"{path}: reading images needs Pillow: pip install 'unisono[images]'"
        ) from None


def decode(file: IO[bytes], layout: Layout) -> NDArray[np.uint8]:
    """Return the pixels of one file, 0 to 255, as `layout` has them; `InvalidDataError`.

    OSError or StoreError where the file can't be read now, which says nothing about the image.
    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - as above

    try:
        _check_bytes(file)
        # Reads the header only; the size is judged before anything is unpacked.
        with Image.open(file, formats=FORMATS) as image:
            layout.check(*image.size)
            return layout.pixels(image)
    except (InvalidDataError, StoreError):
        raise
    except UnidentifiedImageError:
        # Its own words name the stream, with an address in memory: no two runs would list the same.
        raise InvalidDataError("can't be decoded: its bytes are no PNG or JPEG", code="parse") from None
    except Exception as error:  # what a decoder raises on broken bytes is anybody's guess
        if not is_damage(error):
            raise
        raise InvalidDataError(f"can't be decoded: {error}".rstrip(": "), code="parse") from None


def _check_bytes(file: IO[bytes]) -> None:
    """Raise `InvalidDataError` if no image that is decoded can have so many bytes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size > BYTES_AT_MOST:
        raise InvalidDataError(f"has {size:,} bytes, more than {BYTES_AT_MOST:,}: resize it", code="size")


def _size(pixels: int) -> str:
    return "any" if pixels == ANY_SIZE else str(pixels)
