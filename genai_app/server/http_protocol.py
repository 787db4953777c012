"""uvicorn's HTTP protocol, with the product's error body for requests that cannot be parsed."""

import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from genai_app.api.errors import error_body
from genai_app.i18n import translate
from genai_app.services import services

CODE = "bad_request"


class HttpProtocol(HttpToolsProtocol):
    """Parses HTTP like uvicorn, and answers malformed requests with an error body."""

    def send_400_response(self, msg: str) -> None:
        """Answers 400 and closes the connection, since the start of the next request is unknown.
        `msg`: uvicorn's own text, which is not used."""
        sentence = translate(services().settings.locale, f"error.{CODE}")
        body = json.dumps(error_body(None, 400, CODE, sentence)).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n"
            "connection: close\r\n"
            "\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
