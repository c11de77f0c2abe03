"""One recipient's words for the fields of a prepared document."""

from watermark import layout
from watermark.mark import Mark

METADATA = "M"
METADATA_BYTES = 2048
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title><rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt>'
    '</dc:title></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def metadata(copy_number: str) -> bytes:
    """The only metadata a copy leaves with: its number as title (XMP, ISO 16684-1)."""
    text = copy_number.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _XMP.format(text).encode("utf-8")


def filling(mark: Mark, names: tuple[str, ...]) -> dict[str, bytes]:
    """The bytes of each named field. Raises Refusal for words that cannot be drawn or read."""
    words = layout.words(mark)
    return {name: metadata(mark.copy_number) if name == METADATA else words.fill(name) for name in names}
