"""Pictures in messages of OpenAI's chat API. They come as data: nothing is ever fetched."""

import base64
import binascii
import re
from typing import Annotated, Any, Literal

from pydantic import Field

from genai_app.api.bodies import RequestBody, Text
from genai_app.errors import InvalidInput, TooLarge
from genai_app.services.files.incoming import IncomingFile

MAX_IMAGES = 8  # of one request, the last ones
MAX_IMAGE_MB = 8
_DATA = re.compile(r"data:image/(png|jpe?g|webp|gif|heic|heif|bmp|tiff);base64,", re.IGNORECASE)
_MOST_CHARS = MAX_IMAGE_MB * 1024**2 * 4 // 3 + 100


class ImageUrl(RequestBody):
    """A picture as a `data:` URL. Addresses are refused."""

    url: Annotated[str, Field(examples=["data:image/png;base64,iVBORw0KGgo..."])]
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(RequestBody):
    """A picture in a message of the user."""

    type: Literal["image_url"]
    image_url: ImageUrl
    cache_control: dict[str, Any] | None = None


class TextPart(RequestBody):
    """A part of a message that is text."""

    type: Literal["text"]
    text: Text
    cache_control: dict[str, Any] | None = None
    annotations: list[Any] | None = None


def image_of(part: ImagePart, path: str) -> IncomingFile:
    """Returns the picture of a part. Blocks for milliseconds.

    Args:
        path: of the part in the body, for errors.

    Raises:
        InvalidInput: image_not_data: it is an address; image_damaged: it is no picture in base64.
        TooLarge: image_too_large.
    """
    url, param = part.image_url.url, f"{path}.image_url.url"
    if len(url) > _MOST_CHARS:
        raise TooLarge(code="image_too_large", limit_mb=MAX_IMAGE_MB, param=param)
    if not url[:5].lower().startswith("data:"):
        raise InvalidInput(code="image_not_data", param=param)
    head = _DATA.match(url)
    if head is None:
        raise InvalidInput(code="image_damaged", param=param)
    try:
        data = base64.b64decode(url[head.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(code="image_damaged", param=param) from None
    if not data:
        raise InvalidInput(code="image_damaged", param=param)
    return IncomingFile.of(f"image.{head[1].lower().replace('jpeg', 'jpg')}", data)
