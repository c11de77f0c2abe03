"""A browser as small as the demo needs: cookies, redirects, the forms of a page. Standard library only."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from typing import Any

FormFields = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Page:
    """An answer: status, final address, headers, body."""

    status: int
    url: str
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def forms(self) -> list["Form"]:
        """Every form of the page with its hidden and preset fields."""
        reader = _Forms()
        reader.feed(self.text)
        return reader.found

    def form(self, ending: str) -> "Form":
        """The first form whose action ends so; LookupError when the page has none."""
        for form in self.forms():
            # A form without an action posts to the page's own address.
            target = urllib.parse.urljoin(self.url, form.action)
            if urllib.parse.urlsplit(target).path.endswith(ending):
                return form
        raise LookupError(f"no form to {ending} on {self.url} ({self.status})")

    def links(self, containing: str) -> list[str]:
        """Addresses of links that contain a piece of text, in order."""
        reader = _Forms()
        reader.feed(self.text)
        return [href for href in reader.hrefs if containing in href]

    def value(self, name: str) -> str:
        """The value of the first input with this name; LookupError when there is none."""
        for form in self.forms():
            if name in form.fields:
                return form.fields[name]
        raise LookupError(f"no field {name} on {self.url}")


@dataclass
class Form:
    """A form: where it posts to and what stands in its fields."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and given.get("href"):
            self.hrefs.append(given["href"])
        if tag == "form":
            self.found.append(Form(given.get("action", "")))
        if (
            tag == "input"
            and self.found
            and given.get("name")
            and given.get("type") not in ("checkbox", "radio", "submit")
        ):
            self.found[-1].fields.setdefault(given["name"], given.get("value", ""))


class Browser:
    """One person's browser against one origin."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self.page: Page | None = None

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Page:
        """GET; error pages are pages too."""
        return self._open(urllib.request.Request(self._url(path), headers=dict(headers or {})))

    def send(self, path: str, fields: FormFields) -> Page:
        """POST of form fields; lists are sent as repeated fields."""
        body = urllib.parse.urlencode(fields, doseq=True).encode()
        return self._open(urllib.request.Request(self._url(path), data=body, method="POST"))

    def submit(self, ending: str, fields: FormFields | None = None, *, page: Page | None = None) -> Page:
        """Fills and posts the form of the last page (or of `page`) whose action ends so."""
        source = page or self.page
        assert source is not None
        form = source.form(ending)
        target = urllib.parse.urljoin(source.url, form.action)
        return self.send(target.removeprefix(self.origin), {**form.fields, **(fields or {})})

    def put(self, path: str, data: bytes, token: str) -> Page:
        """PUT of raw bytes with the page's CSRF token in its header."""
        headers = {"X-CSRFToken": token, "Content-Type": "application/octet-stream"}
        return self._open(urllib.request.Request(self._url(path), data=data, headers=headers, method="PUT"))

    def _url(self, path: str) -> str:
        return path if path.startswith(self.origin) else self.origin + path

    def _open(self, request: urllib.request.Request) -> Page:
        try:
            with self._opener.open(request, timeout=60) as answer:
                page = Page(answer.status, answer.url, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            page = Page(error.code, error.url or request.full_url, error.headers, error.read())
            error.close()
        if "text/html" in (page.headers.get("Content-Type") or ""):
            self.page = page
        return page
