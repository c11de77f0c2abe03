"""Uploaded files wait in memory."""

import io

from flask import Flask, request

from gateway.web.incoming import InMemory
from tests.factories import World

BODY = (
    b'--edge\r\nContent-Disposition: form-data; name="scan"; filename="a.pdf"\r\n\r\n%s\r\n--edge--\r\n'
    % bytes(3 << 20)
)


def test_a_large_file_of_a_form_is_never_spooled() -> None:
    app = Flask(__name__)
    app.request_class = InMemory
    with app.test_request_context(
        method="POST", data=BODY, content_type="multipart/form-data; boundary=edge"
    ):
        stream = request.files["scan"].stream
        assert isinstance(stream, io.BytesIO)
        assert len(stream.getvalue()) == 3 << 20


def test_the_portal_takes_every_request_so(world: World) -> None:
    assert world.app.request_class is InMemory
