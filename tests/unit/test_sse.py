"""Events out of bytes, however the network cut them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genai_app.adapters.llm.sse import SseDecoder
from genai_app.errors import ModelFailed
from tests import corpora


def decode(*reads: bytes, max_event_bytes: int = 1024) -> list[bytes]:
    decoder = SseDecoder(max_event_bytes=max_event_bytes)
    return [event for read in reads for event in decoder.feed(read)] + decoder.end()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data: a\n\ndata: b\n\ndata: c\n\n", [b"a", b"b", b"c"]),
        (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data\n\n", [b""]),
        (b"data: \n\ndata: a\n\n", [b"", b"a"]),
        (b"data: a\n\n\n\ndata: b\n\n", [b"a", b"b"]),
        (b": ping\n\ndata: a\n\n: ping\n\n", [b"a"]),
        (b"event: x\nid: 1\nretry: 5\ndata: a\nfoo: bar\n\n", [b"a"]),
        (b"data: a\n: in the middle\ndata: b\n\n", [b"a\nb"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"database: x\n\ndata: a\n\n", [b"a"]),
        (b"data: a\n\ndata: b", [b"a", b"b"]),
        (b"data: a\n", [b"a"]),
        (b"data: a\r", [b"a"]),
        (b"", []),
        (b"\n\n\n", []),
    ],
)
def test_stream_gives_events(stream: bytes, events: list[bytes]) -> None:
    """Whole, and byte by byte."""
    assert decode(stream) == events
    assert decode(*(bytes([byte]) for byte in stream)) == events


@pytest.mark.parametrize("sample", corpora.load("unicode"))
def test_only_cr_and_lf_end_a_line(sample: str) -> None:
    """U+2028, U+0085 and their like stand unescaped inside an event."""
    data = sample.replace("\r", "").replace("\n", "").encode("utf-8", "replace")

    assert decode(b"data: " + data + b"\n\n") == [data]


LINES = st.sampled_from(
    [
        b"data: {}",
        b"data:x",
        "data: Ж\u2028\u0085😀".encode(),
        b"data",
        b": comment",
        b"id: 7",
        b"",
        b"",
        b"\xef\xbb\xbf",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n"])


@given(lines=st.lists(st.tuples(LINES, ENDS)), cuts=st.lists(st.integers(0, 200)))
def test_any_split_gives_what_the_whole_gives(
    lines: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(line + end for line, end in lines)
    places = [0, *sorted(cut for cut in cuts if cut <= len(stream)), len(stream)]

    reads = [stream[a:b] for a, b in pairwise(places)]

    assert decode(*reads) == decode(stream)


@given(stream=st.binary(), cut=st.integers(0, 50))
def test_any_bytes_are_borne(stream: bytes, cut: int) -> None:
    """Junk gives the same in two reads as in one, and no error."""
    assert decode(stream[:cut], stream[cut:]) == decode(stream)


@pytest.mark.parametrize(
    "reads",
    [
        [b"data: " + b"x" * 100 + b"\n\n"],
        [b"data: " + b"x" * 30, b"x" * 30],
        [b"data: 0123456789012345678\n"] * 3,
        [b":" + b"x" * 60],
    ],
)
def test_an_event_without_bound_is_refused(reads: list[bytes]) -> None:
    """A server cannot fill the memory with one event."""
    with pytest.raises(ModelFailed):
        decode(*reads, max_event_bytes=50)


def test_many_small_events_are_no_large_one() -> None:
    assert len(decode(b"data: x\n\n" * 500, max_event_bytes=50)) == 500
