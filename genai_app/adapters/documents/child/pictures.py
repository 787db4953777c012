"""Writes pictures anew, without what cameras add to them, no larger than a model needs."""

import warnings
from pathlib import Path
from typing import Any

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from genai_app.adapters.documents.child.draft import Draft, DraftPage, DraftPicture, Refusal
from genai_app.adapters.documents.child.ocr import Recogniser

MAX_SIDE = 2048
MAX_PIXELS = 110_000_000  # before anything is decoded
_THUMBNAIL = 320
_QUALITY = 85
_HIGH_BYTE = [level >> 8 for level in range(1 << 16)]
_MAX_PNG = 300_000  # bytes
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "MPO", "HEIF")


def read(draft: Draft) -> None:
    """Reads a picture; of several frames the first. Its text is what Tesseract sees."""
    if draft.media_type == "image/heic" and not _learn_heic():
        raise Refusal("unsupported", "HEIC without pillow-heif")
    Image.MAX_IMAGE_PIXELS = None  # ours is the bound, below
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings(), Image.open(draft.job.source, formats=_formats()) as picture:
            warnings.simplefilter("ignore")
            if picture.width * picture.height > MAX_PIXELS:
                raise Refusal("bomb", f"{picture.width}x{picture.height}")
            picture.draft("RGB", (MAX_SIDE, MAX_SIDE))  # JPEG is decoded smaller at once
            small = _simple(picture)
            small.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
            ImageOps.exif_transpose(small, in_place=True)
            kept = keep_picture(draft, small, 0)
            keep_thumbnail(draft, small)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise Refusal("damaged", type(error).__name__) from error
    text = Recogniser(draft.job.ocr_s).text_of(kept)
    if text:
        draft.warn("read_by_ocr")
        draft.add(DraftPage(text=text))


def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _learn_heic() -> bool:
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]
    except ImportError:
        return False
    heif: Any = pillow_heif
    heif.register_heif_opener(thumbnails=False)
    return True


def keep_picture(draft: Draft, picture: Any, page: int) -> Path:
    """Writes a picture of a page (0: the file itself) into the target: JPEG, or PNG where that is
    better for its letters. Returns its path."""
    flat = _flat(picture)
    flat.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    path = draft.job.target / f"picture-{len(draft.pictures) + 1}.png"
    media_type = "image/png"
    flat.save(path, "PNG", compress_level=4)
    # letters on a screen are small as PNG; photographs and scans are not, and JPEG spoils letters
    if path.stat().st_size > _MAX_PNG:
        path.unlink()
        path, media_type = path.with_suffix(".jpg"), "image/jpeg"
        flat.save(path, "JPEG", quality=_QUALITY)
    draft.pictures.append(DraftPicture(path.name, page, media_type, flat.width, flat.height))
    return path


def keep_thumbnail(draft: Draft, picture: Any) -> None:
    """Writes the small picture that stands for the file."""
    flat = _flat(picture)
    flat.thumbnail((_THUMBNAIL, _THUMBNAIL))
    flat.save(draft.job.target / "thumbnail.webp", "WEBP", quality=70, method=2)
    draft.thumbnail = "thumbnail.webp"


def _simple(picture: Any) -> Any:
    """Returns a picture in a mode that can be made smaller: without palette, with 8 bits a colour.
    One that has such a mode is not copied: it may be large."""
    # 16 bits a pixel are brightness of scans and X-rays
    if picture.mode.startswith("I"):
        return picture.convert("I").point(_HIGH_BYTE, "L")
    if picture.mode in ("L", "RGB", "RGBA", "LA", "CMYK") and "transparency" not in picture.info:
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    return picture.convert("RGBA" if "transparency" in picture.info else "RGB")


def _flat(picture: Any) -> Any:
    """Returns a copy on white, without any data but its pixels."""
    picture = _simple(picture)
    if picture.mode in ("RGBA", "LA"):
        picture = picture.convert("RGBA")
        ground = Image.new("RGB", picture.size, "white")
        ground.paste(picture, mask=picture.getchannel("A"))
        return ground
    copy = picture.convert("L" if picture.mode == "L" else "RGB")
    bare = Image.new(copy.mode, copy.size)
    bare.paste(copy)
    return bare
