"""What is read of the export files of ChatGPT and Open WebUI, and what hostile ones can do."""

import json
import random
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from genai_app.services.imports.reader import dialogs as reader
from genai_app.services.imports.reader.elements import MAX_DEPTH, Cutter, Damaged
from genai_app.services.imports.reader.frames import (
    HEAD,
    MAX_DIALOG_BYTES,
    MAX_MESSAGES,
    MAX_TEXT_CHARS,
    Frame,
    ReadDialog,
    ReadEnd,
    Unread,
)
from tests.unit.cli_run import ROOT
from tests.unit.importing import (
    AT,
    Json,
    as_json,
    as_zip,
    chatgpt,
    node,
    open_webui,
    plain,
    said,
    wrote,
)


def read(dialog: object) -> ReadDialog:
    found = reader.read_object(json.dumps(dialog).encode())
    assert isinstance(found, ReadDialog)
    return found


def reason(dialog: object) -> str:
    found = reader.read_object(json.dumps(dialog).encode())
    assert isinstance(found, Unread)
    return found.reason


def shape(dialog: ReadDialog) -> list[tuple[int, str, str]]:
    return [(each.parent, each.author, each.text) for each in dialog.messages]


def child(content: bytes, path: Path) -> tuple[int, list[Frame]]:
    """Run the reader as the product does. Returns its exit code and its frames."""
    path.write_bytes(content)
    with path.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "genai_app.services.imports.reader"],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
            timeout=120,
            check=False,
        )
    frames: list[Frame] = []
    left = done.stdout
    while left:
        (size,) = HEAD.unpack(left[: HEAD.size])
        frames.append(msgspec.json.decode(left[HEAD.size : HEAD.size + size], type=Frame))
        left = left[HEAD.size + size :]
    return done.returncode, frames


def results(frames: Sequence[Frame]) -> tuple[list[str], str]:
    """The title of each dialog, or why it is not read; and why the reading stopped."""
    end = frames[-1]
    assert isinstance(end, ReadEnd)
    found = [
        each.title if isinstance(each, ReadDialog) else each.reason
        for each in frames
        if isinstance(each, ReadDialog | Unread)
    ]
    return found, end.stopped


def test_a_tree_of_chatgpt_with_its_branches() -> None:
    """Tools and hidden messages are left out; thoughts stand beside the answer."""
    hidden: Json = {"metadata": {"is_visually_hidden_from_conversation": True}}
    thoughts: Json = {
        "content_type": "thoughts",
        "thoughts": [{"summary": "Ищу", "content": "В законе"}],
    }
    recap = {"content_type": "reasoning_recap", "content": "Thought for 12 s"}
    call = {"content_type": "code", "text": 'search("отпуск")'}
    pictured: Json = {
        "content_type": "multimodal_text",
        "parts": [{"content_type": "image_asset_pointer", "asset_pointer": "file-1"}, "А это?"],
    }
    cited = "28 дней \ue200cite\ue202turn0search1\ue201【12†source】."
    dialog = read(
        chatgpt(
            node("root", None, None, "sys"),
            node("sys", "root", said("system", "", **hidden), "q1"),
            node("q1", "sys", said("user", "Сколько дней?", AT), "call", "other"),
            node("call", "q1", said("assistant", "", content=call, recipient="web"), "tool"),
            node("tool", "call", said("tool", "результат"), "think"),
            node("think", "tool", said("assistant", "", content=thoughts), "recap"),
            node("recap", "think", said("assistant", "", content=recap), "a1"),
            node("a1", "recap", said("assistant", cited, AT + 9), "q2"),
            node("q2", "a1", said("user", "", AT + 20, content=pictured), "a2"),
            node("a2", "q2", said("assistant", "Кошка", AT + 30), "a2b"),
            node("a2b", "a2", said("assistant", "и собака", AT + 31)),
            node("other", "q1", said("assistant", "Не знаю", AT + 60)),
            current="a2b",
        )
    )
    assert shape(dialog) == [
        (-1, "user", "Сколько дней?"),
        (0, "assistant", "28 дней ."),
        (1, "user", "А это?"),
        (2, "assistant", "Кошка\n\nи собака"),
        (0, "assistant", "Не знаю"),
    ]
    assert dialog.leaf == 3
    assert dialog.messages[1].reasoning == "**Ищу**\n\nВ законе"
    assert (dialog.messages[1].at, dialog.messages[1].model) == (AT + 9, "gpt-4o")
    assert dialog.messages[2].files == [""]
    assert (dialog.source, dialog.created, dialog.updated) == ("chatgpt", AT, AT + 500)


def test_attachments_become_names() -> None:
    attached = {"attachments": [{"name": "../../Отчёт.pdf"}, {"name": 7}, "x", {"name": "a\\b.c"}]}
    dialog = read(chatgpt(node("q", None, said("user", "Читай", metadata=attached))))
    assert dialog.messages[0].files == ["Отчёт.pdf", "b.c"]


def test_a_tree_of_open_webui_with_its_branches() -> None:
    """Reasoning and tool calls stand in the text there."""
    answer = (
        '<details type="reasoning" done="true" duration="3">\n<summary>Thought for 3 seconds'
        "</summary>\n> Это &quot;аренда&quot;\n> так\n</details>\n"
        '<details type="tool_calls" done="true">\n<summary>Tool</summary>\n</details>\n'
        "Договор <details>\n<summary>Ещё</summary>\nтекст</details> аренды"
    )
    picture = [
        {"type": "text", "text": "Что тут?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    dialog = read(
        open_webui(
            wrote("s", None, "system", "Be brief"),
            wrote("q", "s", "user", "Что это?", files=[{"type": "file", "name": "d.docx"}]),
            wrote("aa", "q", "assistant", answer),
            wrote("bb", "q", "assistant", "Иначе", model="other"),
            wrote("cc", "aa", "user", picture),
            current="bb",
            pinned=True,
            archived=True,
        )
    )
    assert shape(dialog) == [
        (-1, "user", "Что это?"),
        (0, "assistant", "Договор <details>\n<summary>Ещё</summary>\nтекст</details> аренды"),
        (1, "user", "Что тут?"),
        (0, "assistant", "Иначе"),
    ]
    assert dialog.messages[1].reasoning == 'Это "аренда"\nтак'
    assert [each.files for each in dialog.messages] == [["d.docx"], [], [""], []]
    assert [each.model for each in dialog.messages] == ["", "qwen3:32b", "", "other"]
    assert (dialog.leaf, dialog.archived, dialog.title) == (3, True, "Договор")
    assert dialog.created == int(AT)


def test_early_open_webui_has_a_list() -> None:
    """Without a tree, and without ids; moments in nanoseconds."""
    chat = {
        "title": "Старый",
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    }
    dialog = read({"id": "x", "chat": chat, "created_at": AT * 1e9})
    assert shape(dialog) == [(-1, "user", "a"), (0, "assistant", "b")]
    assert dialog.created == pytest.approx(AT)
    bare = read(chat)
    assert shape(bare) == shape(dialog)
    assert len(bare.key) == 64
    assert bare.key == read(chat).key


def test_a_child_that_comes_before_its_parent() -> None:
    dialog = read(
        chatgpt(
            node("a", "q", said("assistant", "28")),
            node("q", None, said("user", "Сколько?")),
            current="nowhere",
        )
    )
    assert shape(dialog) == [(-1, "user", "Сколько?"), (0, "assistant", "28")]


def test_circles_end_nowhere() -> None:
    """What hangs on a circle is left out; the rest comes."""
    ring = [node("x", "y", said("user", "x")), node("y", "x", said("assistant", "y"))]
    assert reason(chatgpt(*ring)) == "damaged"
    assert reason(chatgpt(node("x", "x", said("user", "x")))) == "damaged"
    dialog = read(chatgpt(node("q", None, said("user", "q")), *ring, current="y"))
    assert shape(dialog) == [(-1, "user", "q")]


@pytest.mark.parametrize("value", [None, 1, -1.5, True, "", "x", [], [1], {}, {"a": []}, [[{}]]])
def test_wrong_types_everywhere(value: object) -> None:
    """Each place of both formats may hold anything: a dialog or a reason, never a traceback."""
    good = [
        plain(1),
        chatgpt(node("q", None, said("user", "q", metadata={"attachments": [{"name": "n"}]}))),
        open_webui(wrote("q", None, "user", "q", files=[{"name": "n"}]), wrote("a", "q", "x", "y")),
    ]
    tried = 0
    for each in good:
        for changed in changes(each, value):
            found = reader.read_object(json.dumps(changed).encode())
            assert isinstance(found, ReadDialog | Unread)
            tried += 1
    assert tried > 100


def changes(tree: Any, value: object) -> list[Any]:
    """Copies of `tree` with `value` in one place each."""
    found: list[Any] = [value]
    if isinstance(tree, dict):
        items: Json = tree  # pyright: ignore[reportUnknownVariableType]
        for key, below in items.items():
            found += [{**items, key: each} for each in changes(below, value)]
    if isinstance(tree, list):
        parts: list[Any] = tree  # pyright: ignore[reportUnknownVariableType]
        for index, below in enumerate(parts):
            found += [[*parts[:index], each, *parts[index + 1 :]] for each in changes(below, value)]
    return found


def test_texts_that_no_database_stores() -> None:
    dialog = read(plain(1, "a\x00b \ud800 \ud83d\ude00", "ok"))
    assert dialog.messages[0].text == "a\ufffdb \ufffd 😀"
    dialog.title.encode()


def test_long_texts_are_cut_and_long_dialogs_are_not_read() -> None:
    dialog = read(plain(1, "q", "я" * (MAX_TEXT_CHARS + 5)))
    assert (len(dialog.messages[1].text), dialog.messages[1].cut) == (MAX_TEXT_CHARS, True)
    assert not dialog.messages[0].cut
    assert reason(plain(1, *["x"] * (MAX_MESSAGES + 1))) == "too_large"
    assert reason(plain(1, *["я" * MAX_TEXT_CHARS] * 21)) == "too_large"
    assert reason({"x": 1}) == "unknown"
    assert reason(chatgpt(node("root", None, None))) == "empty"


@pytest.mark.parametrize("moment", [float("inf"), float("nan"), 1e308, -1e308, 10**400, "1", True])
def test_moments_that_are_none(moment: Any) -> None:
    text = json.dumps(chatgpt(node("q", None, said("user", "q", at=moment)), create_time=moment))
    found = reader.read_object(text.encode())
    if isinstance(found, ReadDialog):
        assert (found.messages[0].at, found.created) == (None, None)
    else:
        assert found.reason == "damaged"  # more digits than Python reads


def test_objects_are_cut_out_of_any_chunks() -> None:
    """A quote, a bracket or a backslash may be the last of a chunk."""
    objects = [{"a": 'x"}]\\', "b": [{"c": "{"}]}, {}, {"d": "я\\" * 50}, {"e": None}]
    text = json.dumps(objects, ensure_ascii=False).encode()
    rows = b"\n".join(json.dumps(each).encode() for each in objects)
    dice = random.Random(7)
    for whole in (text, rows, b" [" + text[1:]):
        for _ in range(200):
            cuts = sorted(dice.choices(range(len(whole)), k=dice.randint(0, 9)))
            chunks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
            found = list(Cutter(1000).objects(chunks))
            assert [json.loads(each or b"0") for each in found] == objects


def test_objects_that_are_too_large_or_too_deep_are_passed_over() -> None:
    small, large = b'{"a": 1}', b'{"a": "' + b"x" * 100 + b'"}'
    deep = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    text = b"[" + b",".join([small, large, deep, small]) + b"]"
    chunks = [text[n : n + 7] for n in range(0, len(text), 7)]
    assert list(Cutter(60).objects(chunks)) == [small, None, None, small]
    for broken in (b"[{", b'[{"a', b"{}}", b"]", b'"'):
        with pytest.raises(Damaged):
            list(Cutter(60).objects([broken]))


def test_the_reader_reads_every_shape_of_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    two = as_json(plain(1), plain(2))
    expected = (["Диалог 1", "Диалог 2"], "")
    for content in (
        two,
        b"\xef\xbb\xbf" + two,
        json.dumps([plain(1), plain(2)], ensure_ascii=False, indent=2).encode(),
        as_zip(conversations_json=two),
        as_zip(
            conversations__000_json=as_json(plain(1)), conversations__001_json=as_json(plain(2))
        ),
    ):
        code, frames = child(content, path)
        assert (code, results(frames)) == (0, expected)
    code, frames = child(as_json(open_webui(wrote("q", None, "user", "q"))), path)
    assert results(frames) == (["Договор"], "")


def bomb(size: int) -> bytes:
    """An archive whose one member is `size` bytes of an array."""
    buffer = BytesIO()
    archive = zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("conversations.json", "w", force_zip64=True) as member:
        member.write(as_json(plain(1))[:-1] + b",")
        for _ in range(size // 2**20):
            member.write(b" " * 2**20)
        member.write(b"{}]")
    return buffer.getvalue()


def locked() -> bytes:
    content = bytearray(as_zip(conversations_json=as_json(plain(1))))
    at = content.rindex(b"conversations.json") - 46
    content[at + 8] |= 1  # the flag of a password
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ([], "unknown")),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10, None),
        (b"PK\x03\x04" + b"x" * 1000, ([], "damaged")),
        (b"[" * 1_000_000, ([], "damaged")),
        (b'{"a":' * 1_000_000, ([], "damaged")),
        (as_json(plain(1))[:-40], ([], "damaged")),
        (as_json(plain(1)) + b"]", (["Диалог 1"], "damaged")),
        (as_json(plain(1), {"mapping": {}}, {"x": [[]]}), (["Диалог 1", "empty", "unknown"], "")),
        (b'[{"mapping": {"a": 1e999999, "b": NaN}}, {"chat": ' + b"9" * 5000 + b"}]", None),
        (as_zip(), (["Диалог 666", "unknown"], "")),
        (locked(), ([], "encrypted")),
        (b'[{"a": "' + b"x" * (MAX_DIALOG_BYTES + 9) + b'"}, {"chat": {}}]', None),
        (b'[{"a":[' + b"{}," * 5_000_000 + b"{}]}]", (["unknown"], "")),  # 320 MB of dictionaries
    ],
    ids=lambda value: None if isinstance(value, bytes) else "",
)
def test_hostile_files_end_in_a_reason(
    content: bytes, expected: tuple[list[str], str] | None, tmp_path: Path
) -> None:
    code, frames = child(content, tmp_path / "file")
    assert code == 0
    found = results(frames)
    assert expected is None or found == expected
    assert not (tmp_path / "escaped.json").exists()


def test_a_bomb_is_read_up_to_a_gigabyte(tmp_path: Path) -> None:
    """What stood before it comes; memory does not grow with it."""
    content = bomb(1100 * 2**20)
    assert len(content) < 20 * 2**20
    code, frames = child(content, tmp_path / "file")
    assert (code, results(frames)) == (0, (["Диалог 1"], "too_large"))


def test_the_reader_can_open_nothing() -> None:
    """Neither a file nor a connection, and it can write none."""
    program = (
        "import socket\n"
        "from genai_app.services.imports.reader.__main__ import confine\n"
        "confine()\n"
        "for opening in (lambda: open('/etc/hostname'), socket.socket):\n"
        "    try: opening(); print('opened')\n"
        "    except OSError: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["refused", "refused"]
