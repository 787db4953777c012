"""What the scripted model server sees: pictures that came as data in a request."""

import base64
import io
import re
from collections.abc import Sequence
from typing import Any

from PIL import Image

from tests.fakes.model_steps import Status

BLIND = "At most 0 image(s) may be provided in one prompt: fake-model is not a multimodal model"


def text_of(content: object) -> str:
    """The text of a message, whether it came whole or in parts."""
    if isinstance(content, list):
        parts: list[dict[str, Any]] = content
        return "\n".join(part["text"] for part in parts if part["type"] == "text")
    return str(content or "")


def pictures_of(messages: Sequence[dict[str, Any]]) -> list[Image.Image]:
    """The pictures of a request, in order. Raises ValueError for one that is not sent as data."""
    urls = [
        part["image_url"]["url"]
        for message in messages
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image_url"
    ]
    pictures: list[Image.Image] = []
    for url in urls:
        match = re.fullmatch(r"data:image/(?:jpeg|png|webp);base64,([A-Za-z0-9+/=]+)", url)
        if match is None:
            raise ValueError("a picture that is no data")
        pictures.append(Image.open(io.BytesIO(base64.b64decode(match[1]))))
    return pictures


def described(messages: Sequence[dict[str, Any]]) -> str:
    """What a model that sees says of the pictures: size, and the colour in the middle."""
    lines: list[str] = []
    for picture in pictures_of(messages):
        middle = (picture.width // 2, picture.height // 2)
        red, green, blue = picture.convert("RGB").resize(picture.size).getpixel(middle)  # pyright: ignore
        names = {red: "red", green: "green", blue: "blue"}  # pyright: ignore[reportUnknownVariableType]
        lines.append(f"{picture.width}x{picture.height} {names[max(red, green, blue)]}")  # pyright: ignore[reportUnknownArgumentType]
    return "; ".join(lines) or "no picture"


def refusal_of(messages: Sequence[dict[str, Any]]) -> Status | None:
    """What a model that does not see answers to pictures."""
    return Status(400, BLIND) if pictures_of(messages) else None
