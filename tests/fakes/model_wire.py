"""The JSON that model servers send, in the shapes of vLLM 0.32 and TGI 3."""

import json
import time

MODEL = "fake-model"


def encode(value: object) -> bytes:
    """As vLLM does it, UTF-8 unescaped; lone surrogates, which UTF-8 cannot hold, escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def event(value: object) -> bytes:
    return b"data: " + encode(value) + b"\n\n"


def error_body(message: str, *, kind: str, code: int) -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class OpenAiWire:
    """The chunks of one /v1/chat/completions answer."""

    def __init__(self, number: int, *, prompt_tokens: int) -> None:
        self._head: dict[str, object] = {
            "id": f"chatcmpl-{number:032x}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": MODEL,
        }
        self._prompt_tokens = prompt_tokens
        self._thoughts = 0

    def begin(self) -> bytes:
        return self._choice({"role": "assistant", "content": ""})

    def token(self, text: str) -> bytes:
        return self._choice({"content": text})

    def thought(self, text: str, name: str) -> bytes:
        self._thoughts += 1
        return self._choice({name: text})

    def end(self, reason: str, tokens: int) -> bytes:
        last = self._choice({"content": ""}, finish_reason=reason, stop_reason=None)
        usage: dict[str, object] = {"choices": [], "usage": self._usage(tokens)}
        return last + event(self._head | usage) + b"data: [DONE]\n\n"

    def error(self, message: str, *, kind: str, code: int) -> bytes:
        return event(error_body(message, kind=kind, code=code)) + b"data: [DONE]\n\n"

    def whole(self, text: str, reason: str, tokens: int) -> bytes:
        """The answer of a request without stream."""
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        head = self._head | {"object": "chat.completion"}
        return encode(head | {"choices": [choice], "usage": self._usage(tokens)})

    def _usage(self, tokens: int) -> dict[str, object]:
        asked = self._prompt_tokens
        details: dict[str, object] = {
            "completion_tokens_details": {"reasoning_tokens": self._thoughts}
        }
        return (details if self._thoughts else {}) | {
            "prompt_tokens": asked,
            "total_tokens": asked + tokens,
            "completion_tokens": tokens,
        }

    def _choice(self, delta: dict[str, object], **more: object) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} | more
        return event(self._head | {"choices": [choice]})


class TgiWire:
    """The events of one /generate_stream answer."""

    def __init__(self, number: int, *, prompt_tokens: int) -> None:
        self._number = number
        self._prompt_tokens = prompt_tokens
        self._count = 0
        self._text = ""

    def begin(self) -> bytes:
        return b""

    def token(self, text: str) -> bytes:
        self._text += text
        return self._event(text, special=False)

    def end(self, reason: str, tokens: int) -> bytes:
        details = {
            "finish_reason": {"stop": "eos_token"}.get(reason, reason),
            "generated_tokens": tokens,
            "seed": None,
            "input_length": self._prompt_tokens,
        }
        return self._event("</s>", special=True, generated_text=self._text, details=details)

    def error(self, message: str, *, kind: str, code: int) -> bytes:
        return event({"error": message, "error_type": kind})

    def whole(self, text: str, reason: str, tokens: int) -> bytes:
        return encode({"generated_text": text})

    def _event(self, text: str, *, special: bool, **more: object) -> bytes:
        self._count += 1
        token = {"id": self._count, "text": text, "logprob": -0.5, "special": special}
        base = {"index": self._count, "token": token, "generated_text": None, "details": None}
        return event(base | more)
