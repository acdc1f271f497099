"""Mail: the message, what is attached to it, messages inside of messages; mailboxes, Outlook's files, calendars."""

from __future__ import annotations

import io
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest

from ingest.elements import Page, Summary
from ingest.errors import Encrypted, Unreadable
from ingest.formats import detect
from ingest.limits import Limits
from ingest.readers.registry import reader_named
from ingest.task import Task


def items_of(path: Path, task: Task | None = None) -> tuple[list[Page], Summary]:
    found = list(reader_named(detect(path).reader).read(path, task or Task()))
    summary = found[-1]
    assert isinstance(summary, Summary)
    return [item for item in found if isinstance(item, Page)], summary


def parts_of(path: Path, task: Task | None = None) -> dict[str | None, str]:
    return {page.part: page.text for page in items_of(path, task)[0]}


def message(subject: str, text: str) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Ann <ann@example.com>", "bob@example.com", subject
    made.set_content(text)
    return made


def saved(path: Path, made: EmailMessage) -> Path:
    path.write_bytes(made.as_bytes())
    return path


def zipped(name: str, content: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def test_attachments_are_read_by_their_own_readers_under_their_names(tmp_path: Path) -> None:
    made = message("The lease", "See the attachment.")
    made.add_attachment(b"name,sum\nNorth,12\nSouth,13\n", maintype="text", subtype="csv", filename="sums.csv")
    made.add_attachment(
        zipped("lease.txt", "It ends in March."), maintype="application", subtype="zip", filename="a.zip"
    )
    pages, summary = items_of(saved(tmp_path / "mail.eml", made))
    assert [page.part for page in pages] == [None, "sums.csv", "a.zip/lease.txt"]
    assert pages[1].elements[0].kind == "table"
    assert summary.title == "The lease"
    assert summary.omissions == ()


def test_the_content_of_an_attachment_counts_not_its_declared_type(tmp_path: Path) -> None:
    made = message("x", "See the attachment.")
    made.add_attachment(
        b"<!DOCTYPE html><html><body><h1>Minutes</h1></body></html>",
        maintype="application",
        subtype="octet-stream",
        filename="minutes.bin",
    )
    assert parts_of(saved(tmp_path / "mail.eml", made))["minutes.bin"] == "Minutes"


def test_an_attachment_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    made = message("x", "Listen.")
    made.add_attachment(b"ID3\x03" + bytes(50), maintype="audio", subtype="mpeg", filename="voice.mp3")
    pages, summary = items_of(saved(tmp_path / "mail.eml", made))
    assert len(pages) == 1
    assert [omission.what for omission in summary.omissions] == ["voice.mp3"]
    assert "speech model" in summary.omissions[0].reason


def test_a_forwarded_message_is_a_part_with_its_own_attachments(tmp_path: Path) -> None:
    inner = message("Budget", "The budget is attached.")
    inner.add_attachment("Twelve thousand.", filename="budget.txt")
    made = message("Fwd: Budget", "For you.")
    made.add_attachment(inner)
    parts = parts_of(saved(tmp_path / "mail.eml", made))
    assert list(parts) == [None, "message 1: Budget", "message 1: Budget/budget.txt"]
    assert "The budget is attached." in parts["message 1: Budget"]


def test_messages_in_messages_end_at_the_limit_of_nesting(tmp_path: Path) -> None:
    made = message("0", "Level 0.")
    for level in range(1, 9):
        outer = message(str(level), f"Level {level}.")
        outer.add_attachment(made)
        made = outer
    pages, summary = items_of(saved(tmp_path / "mail.eml", made), Task(Limits(nesting=3)))
    assert len(pages) == 4
    assert "nested too deeply" in summary.omissions[0].reason


def test_an_invitation_is_read_by_its_text_not_by_its_calendar_entry(tmp_path: Path) -> None:
    made = message("Jour fixe", "We meet on Monday.")
    made.add_alternative("<p>We meet on <b>Monday</b>.</p>", subtype="html")
    made.add_alternative("BEGIN:VCALENDAR\nEND:VCALENDAR\n", subtype="calendar")
    assert "We meet on Monday." in (parts_of(saved(tmp_path / "mail.eml", made))[None])


def test_a_signature_is_no_attachment(tmp_path: Path) -> None:
    made = message("x", "Signed text.")
    made.add_attachment(b"0\x80", maintype="application", subtype="pkcs7-signature", filename="smime.p7s")
    assert items_of(saved(tmp_path / "mail.eml", made))[1].omissions == ()


def test_a_mail_client_s_file_is_mail_under_any_name(tmp_path: Path) -> None:
    content = (
        b"Received: from a by b;\r\n Mon, 1 Jan 2024\r\nX-Spam: no\r\nFrom: a@b.c\r\nSubject: Hi\r\n\r\nHello.\r\n"
    )
    for name in ("mail.txt", "mail", "mail.doc"):
        path = tmp_path / name
        path.write_bytes(content)
        assert detect(path).name == "eml"


def test_each_message_of_a_mailbox_is_a_part(tmp_path: Path) -> None:
    second = message("Budget", "From now on.\n\nFrom the office.")
    second.add_attachment("Twelve thousand.", filename="budget.txt")
    path = tmp_path / "Inbox.mbox"
    path.write_bytes(
        b"From a@b.c Mon Jan  1 00:00:00 2024\n"
        + message("Lease", "It ends.").as_bytes()
        + b"\nFrom a@b.c Mon Jan  1 00:00:00 2024\n"
        + second.as_bytes().replace(b"\nFrom the", b"\n>From the")
    )
    parts = parts_of(path)
    assert list(parts) == ["message 1: Lease", "message 2: Budget", "message 2: Budget/budget.txt"]
    assert "From the office." in parts["message 2: Budget"]


def test_a_message_that_is_too_large_is_left_out_of_its_mailbox(tmp_path: Path) -> None:
    path = tmp_path / "x.mbox"
    start = b"From a@b.c Mon Jan  1 00:00:00 2024\n"
    path.write_bytes(
        start + message("Large", "word " * 9000).as_bytes() + b"\n" + start + message("Small", "It ends.").as_bytes()
    )
    pages, summary = items_of(path, Task(Limits(mail_bytes=20_000)))
    assert [page.part for page in pages] == ["message 2: Small"]
    assert summary.omissions[0].what == "message 1"
    assert "20,000 bytes" in summary.omissions[0].reason


def test_outlook_s_wrapping_is_taken_off(shared: Path) -> None:
    parts = parts_of(shared / "format-zoo" / "email" / "testWINMAIL.dat")
    assert parts[None] == "Subject: This is a test message"
    assert "quick brown fox" in parts["quick.pdf"]
    assert {"quick.doc", "quick.html", "quick.txt", "quick.xml"} < set(parts)


def test_attachments_of_an_outlook_message_are_read(shared: Path) -> None:
    parts = parts_of(shared / "format-zoo" / "email" / "fake-email-attachment.msg")
    assert "fake attachment" in parts["fake-attachment.txt"]


def test_an_encrypted_outlook_message_says_so(shared: Path) -> None:
    with pytest.raises(Encrypted, match="encrypted"):
        items_of(shared / "format-zoo" / "encrypted" / "fake-encrypted.msg")


def signed(content: bytes) -> bytes:
    """As a signing program writes it: the content in the middle, without any signer."""
    from asn1crypto import cms

    data = cms.SignedData(
        {
            "version": "v1",
            "digest_algorithms": [],
            "encap_content_info": {"content_type": "data", "content": content},
            "signer_infos": [],
        }
    )
    return bytes(cms.ContentInfo({"content_type": "signed_data", "content": data}).dump())


def test_a_signed_file_is_read_as_what_was_signed(tmp_path: Path) -> None:
    path = tmp_path / "contract.txt.p7m"
    path.write_bytes(signed(b"It ends in March."))
    assert parts_of(path) == {"contract.txt": "It ends in March."}


def test_a_signed_message_is_read(tmp_path: Path) -> None:
    made = EmailMessage()
    made["From"], made["Subject"] = "ann@example.com", "Signed"
    content = b"Content-Type: text/plain; charset=utf-8\r\n\r\nIt ends in March.\r\n"
    made.set_content(
        signed(content), maintype="application", subtype="pkcs7-mime", params={"smime-type": "signed-data"}
    )
    parts = parts_of(saved(tmp_path / "mail.eml", made))
    assert any("It ends in March." in text for text in parts.values())


def test_a_signature_alone_says_that_it_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "contract.p7m"
    path.write_bytes(signed(b""))
    with pytest.raises(Unreadable, match="signature alone"):
        items_of(path)


def test_a_calendar_reads_as_lines_for_people(tmp_path: Path) -> None:
    path = tmp_path / "x.ics"
    path.write_text(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=Europe/Berlin:20240105T090000\r\n"
        "SUMMARY:Lease\\, renewal\r\nLOCATION:Room 5\r\nDESCRIPTION:A long li\r\n ne.\\nAnd more.\r\n"
        'ORGANIZER;CN="Doe, Ann":mailto:ann@example.com\r\nBEGIN:VALARM\r\nDESCRIPTION:Ring\r\nEND:VALARM\r\n'
        "END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    pages, summary = items_of(path)
    assert pages[0].text == (
        "Lease, renewal\n\nStart: 2024-01-05 09:00\nLocation: Room 5\nDescription: A long line. And more.\n"
        "Organizer: Doe, Ann <ann@example.com>"
    )
    assert summary.title == "Lease, renewal"


def test_an_address_card_reads_as_lines_for_people(tmp_path: Path) -> None:
    path = tmp_path / "x.vcf"
    path.write_text(
        "BEGIN:VCARD\nVERSION:2.1\nFN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=BCrgen M=C3=BCller\n"
        "TEL;WORK:+49 30 1\nADR:;;Hauptstr. 5;Berlin;;10115;\nitem1.EMAIL:j@example.com\nEND:VCARD\n"
    )
    assert items_of(path)[0][0].text == (
        "Jürgen Müller\n\nTelephone: +49 30 1\nAddress: Hauptstr. 5, Berlin, 10115\nEmail: j@example.com"
    )
