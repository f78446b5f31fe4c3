"""Content-Disposition as browsers read it: a name is found wherever one can be."""

import time

import pytest
from aiohttp.client_reqrep import ContentDisposition

from syncclient import Session
from tests.servers.raw import RawConnection, Script, StartRawServer


def saying(*headers: bytes) -> Script:
    """A server whose responses have these header lines."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b"Content-Length: 1", b"", b"x"]))

    return script


def parsed(raw_server: StartRawServer, *values: bytes) -> ContentDisposition:
    lines = [b"Content-Disposition: " + value for value in values]
    with Session() as session:
        found = session.get(raw_server(saying(*lines)).url).content_disposition
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"attachment; filename=a.txt", "a.txt"),
        (b'attachment; filename="a b.txt"', "a b.txt"),
        (b"attachment;filename=a.txt", "a.txt"),
        (b"attachment ; FileName = a.txt ", "a.txt"),
        (b'attachment; filename =\t"a.txt"', "a.txt"),
        (b"attachment; filename=My Report.pdf", "My Report.pdf"),
        (b"attachment; filename=My Report.pdf; size=3", "My Report.pdf"),
        (b"attachment; filename=a[1](2),b.txt", "a[1](2),b.txt"),
        (b'attachment; filename="a;b.txt"', "a;b.txt"),
        (b'attachment; filename="a=b.txt"; x=y', "a=b.txt"),
        (b"attachment; filename=a=b.txt", "a=b.txt"),
        (b"attachment; filename='a.txt'", "'a.txt'"),
        (b"attachment; filename=50%.html", "50%.html"),
        (b'attachment; filename="a%20b.txt"', "a%20b.txt"),
        # Stray and repeated parameters.
        (b"attachment;; filename=a.txt;", "a.txt"),
        (b"attachment; foo; =; filename=a.txt; bar", "a.txt"),
        (b"attachment; filename=a.txt; filename=b.txt", "a.txt"),
        (b"attachment; filename=\"\"; filename*=UTF-8''a.txt", "a.txt"),
        (b"attachment; xfilename=b.txt; filename=a.txt", "a.txt"),
        (b'attachment; size="; filename=b.txt"; filename=a.txt', "a.txt"),
        # The type.
        (b"filename=a.txt", "a.txt"),
        (b"; filename=a.txt", "a.txt"),
        (b"filename=a.txt; attachment", "a.txt"),
        (b"attachment filename=a.txt", "a.txt"),
        (b"attachment, filename=a.txt", "a.txt"),
        (b"inline; attachment; filename=a.txt", "a.txt"),
        (b"/; filename=a.txt", "a.txt"),
        (b"attachment; foo filename=a.txt", "a.txt"),
        # Quotation marks and backslashes.
        (rb'attachment; filename="a\"b.txt"', 'a"b.txt'),
        (rb'attachment; filename="a\\b.txt"', "a\\b.txt"),
        (rb'attachment; filename="f\oo.txt"', "foo.txt"),
        (b'attachment; filename="a.txt', "a.txt"),
        (b'attachment; filename="a.txt\\', "a.txt"),
        (b'attachment; filename=""a.txt""', "a.txt"),
        (b'attachment; filename="/etc/passwd"', "etc/passwd"),
        # Bytes beyond ASCII.
        ("attachment; filename=naïve €.txt".encode(), "naïve €.txt"),
        (b'attachment; filename="na\xefve.txt"', "naïve.txt"),
        (b"attachment; filename=na\xefve.txt", "naïve.txt"),
        (b'attachment; filename="\xc3\xa4\xe4.txt"', "Ã¤ä.txt"),
        # RFC 8187.
        (b"attachment; filename*=UTF-8''na%C3%AFve%20%e2%82%ac.txt", "naïve €.txt"),
        (b"attachment; FILENAME*=utf-8'de'na%C3%AFve.txt", "naïve.txt"),
        (b"attachment; filename*=iso-8859-1''na%EFve.txt", "naïve.txt"),
        (b"attachment; filename*=Shift_JIS''%93%FA%96%7B.txt", "日本.txt"),
        (b"attachment; filename*=gb2312''%D6%D0%CE%C4.txt", "中文.txt"),
        (b"attachment; filename=b.txt; filename*=UTF-8''a.txt", "a.txt"),
        (b"attachment; filename*=UTF-8''a.txt; filename=b.txt", "a.txt"),
        (b"attachment; filename* = UTF-8''a.txt", "a.txt"),
        (b"attachment; filename*=\"UTF-8''a%20b.txt\"", "a b.txt"),
        (b"attachment; filename*=UTF-8''a b.txt", "a b.txt"),
        (b"attachment; filename*=UTF-8''50%.txt", "50%.txt"),
        ("attachment; filename*=UTF-8''naïve.txt".encode(), "naïve.txt"),
        (b"attachment; filename*=klingon''b.txt; filename=a.txt", "a.txt"),
        (b"attachment; filename*=hex''00; filename=a.txt", "a.txt"),
        (b"attachment; filename*=UTF-8''%FF.txt; filename=a.txt", "a.txt"),
        (b"attachment; filename*=UTF-8''; filename=a.txt", "a.txt"),
        (b"attachment; filename*=na%C3%AFve.txt", "naïve.txt"),
        (b"attachment; filename*=''na%C3%AFve.txt", "naïve.txt"),
        (b"attachment; filename*=klingon''a.txt", "a.txt"),
        (b"attachment; filename*=UTF-8''na%EFve.txt", "naïve.txt"),
        # RFC 2231 and RFC 2047, which are for mail.
        (b'attachment; filename*0="a"; filename*1=".txt"', "a.txt"),
        (b'attachment; filename*1=".txt"; filename*0="a"', "a.txt"),
        (b"attachment; filename*0*=UTF-8''na%C3; filename*1*=%AFve; filename*2=.txt", "naïve.txt"),
        (b'attachment; filename*0="a.txt"; filename*2="b"', "a.txt"),
        (b"attachment; filename*0*=klingon''na%C3%AFve.txt", "naïve.txt"),
        (b'attachment; filename="=?UTF-8?B?bmHDr3ZlLnR4dA==?="', "naïve.txt"),
        (b'attachment; filename="=?iso-8859-1?q?na=EFve_?= =?UTF-8?Q?a.txt?="', "naïve a.txt"),
        (b'attachment; filename="=?gb2312?B?1tDOxC50eHQ=?="', "中文.txt"),
        (b'attachment; filename="=?klingon?Q?a.txt?="', "=?klingon?Q?a.txt?="),
    ],
)
def test_a_name_is_found(raw_server: StartRawServer, value: bytes, name: str) -> None:
    """What browsers, or at least one of them, take for the name is the name."""
    assert parsed(raw_server, value).filename == name


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"attachment",
        b"attachment; filename",
        b"attachment; filename=",
        b'attachment; filename=""',
        b"attachment; xfilename=a.txt",
        b'attachment; x="; filename=a.txt"',
        b"attachment; filename*1=a.txt",
        b"attachment; filename*=UTF-8''",
        b"a.txt",
        b";;==;*=;'",
        b'"',
        b"\xff\xfe",
    ],
)
def test_without_a_name_there_is_none(raw_server: StartRawServer, value: bytes) -> None:
    """No exception, and no warning, which would be an error here."""
    assert parsed(raw_server, value).filename is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"Attachment; filename=a", "attachment"),
        (b" inline ", "inline"),
        (b"attachment filename=a", "attachment"),
        (b"filename=a", None),
        (b"; filename=a", None),
        (b"", None),
    ],
)
def test_the_type(raw_server: StartRawServer, value: bytes, kind: str | None) -> None:
    """The type is in lower case, and None if the header begins with something else."""
    assert parsed(raw_server, value).type == kind


def test_parameters_are_there_by_name(raw_server: StartRawServer) -> None:
    """Parameters are decoded; their names are in lower case, and the first of each name counts."""
    value = b'form-data; NAME=x; Filename*=UTF-8\'\'%C3%A4; name=y; size = 3; note="a;\\"b"'
    found = parsed(raw_server, value)
    assert dict(found.parameters) == {"name": "x", "filename*": "ä", "size": "3", "note": 'a;"b'}


def test_several_headers(raw_server: StartRawServer) -> None:
    """The first that has a name counts."""
    assert parsed(raw_server, b"inline", b"attachment; filename=a.txt").filename == "a.txt"
    assert parsed(raw_server, b"inline; filename=b", b"attachment; filename=a").type == "inline"


def test_a_response_without_the_header(raw_server: StartRawServer) -> None:
    """`content_disposition` is None for a response without the header."""
    with Session() as session:
        assert session.get(raw_server(saying()).url).content_disposition is None


@pytest.mark.parametrize(
    "piece",
    [b";", b"=", b'"', b";filename*0=", b"\\", b'"a', b"=?x?B?", b"=?", b"'", b" ", b"%", b"a=b;"],
)
def test_time_grows_with_the_length_only(raw_server: StartRawServer, piece: bytes) -> None:
    """Whatever a server repeats, four times of it take not much more than four times as long."""
    value = b'attachment; filename="' + piece * (60_000 // len(piece))
    with Session(max_field_size=2**17, max_line_size=2**17) as session:
        response = session.get(raw_server(saying(b"Content-Disposition: " + value)).url)
        began = time.thread_time()
        assert response.content_disposition is not None
    assert time.thread_time() - began < 2
