#!/usr/bin/python3
"""Compares what src/mime reads in public test messages with what others read in them.

Judges: Python's `email` package; the results that come with the mail-parser suite (JSON) and with
the mime4j suite (XML); flanker's list of valid addresses. Compared are the tree of parts and their types, offsets, decoded texts,
file names, subjects, dates, addresses and ids. Where a judge and we differ and we are right, the
difference stands in KNOWN with the reason; an entry there that no longer differs is an error too.

    mime_suites.py MIME_DUMP DATA_DIRECTORY
"""
import email
import email.header
import email.utils
import glob
import json
import os
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree

# (judge, file, item) or (judge, file, "*"): why ours is right.
KNOWN = {
    ("mail-parser", "mail-parser/rfc/001.eml", "from"): "a lone word is a local part, as 'root' is",
    ("mail-parser", "mail-parser/rfc/001.eml", "to"): "a lone word is a local part",
    ("mail-parser", "mail-parser/rfc/004.eml", "from"): "a lone word is a local part",
    ("mail-parser", "mail-parser/rfc/004.eml", "to"): "a lone word is a local part",
    ("mail-parser", "mail-parser/rfc/008.eml", "tree"):
        "a message in base64, which RFC 2046 5.2.1 forbids, has no offsets: it stays a leaf",
    ("python", "mail-parser/rfc/008.eml", "tree"): "the same; Python's child is the base64 text",
    ("python", "mail-parser/thirdparty/002.eml", "text of part 2"):
        "base64 goes on behind padding, since parts encoded piece by piece exist",
    ("mail-parser", "mail-parser/thirdparty/002.eml", "text of part 2"):
        "one U+FFFD for each broken start of a character, also for the last",
    ("mail-parser", "mail-parser/thirdparty/002.eml", "text of part 3"):
        "RFC 2045 6.8: foreign characters in base64 are ignored, the rest is decoded",
    ("python", "mail-parser/thirdparty/003.eml", "text of part 4"):
        "quoted-printable with a blank before the line end of the field was not decoded",
    ("mail-parser", "mail-parser/thirdparty/005.eml", "text of part 5"):
        "RFC 2046 5.1.1: a boundary starts a line",
    ("line-ends", "mail-parser/thirdparty/005.eml", "all"):
        "UTF-16 in binary does not survive a change of line ends",
    ("mail-parser", "mail-parser/thirdparty/011.eml", "body of part 1"):
        "the only line end before the boundary belongs to the boundary, the body is empty",
    ("python", "mail-parser/thirdparty/012.eml", "tree"): "a folded boundary is to be unfolded",
    ("python", "mail-parser/thirdparty/015.eml", "text of part 7"):
        "a line that is no field does not end a message's header; the empty line does",
    ("mail-parser", "mail-parser/thirdparty/015.eml", "tree"):
        "the outer boundary ends an inner multipart whose own never came",
    ("python", "mikel-mail/attachment_emails/attachment_message_rfc822_inline_image.eml",
     "text of part 3"): "RFC 2045 6.7 (3): blanks at a line's end in quoted-printable go",
    ("python", "mikel-mail/attachment_emails/attachment_pdf_non_ascii.eml", "text of part 1"):
        "iso-8859-1 is read as windows-1252",
    ("python", "mikel-mail/attachment_emails/attachment_pdf_non_ascii_lf.eml", "text of part 1"):
        "iso-8859-1 is read as windows-1252",
    ("python", "mikel-mail/plain_emails/mix_caps_content_type.eml", "from"):
        "'Big Bug bb@bug.com': blanks are no part of an address",
    ("python", "mikel-mail/plain_emails/raw_email_incorrect_header.eml", "text of part 0"):
        "a line that is no field does not end a message's header; the empty line does",
    ("python", "mikel-mail/plain_emails/raw_email_multiple_from.eml", "*"):
        "Python gives up on the list where the count of commas looks wrong",
    ("python", "mikel-mail/plain_emails/raw_email_with_at_display_name.eml", "to"):
        "Python gives up on a display name with '@'",
    ("python", "mikel-mail/rfc2822/example10.eml", "from"):
        "RFC 5322 3.2.2: comments are no part of the name",
    ("python", "mikel-mail/rfc2822/example10.eml", "to"):
        "RFC 5322 3.2.2: comments are no part of the name",
    ("python", "mikel-mail/rfc2822/example13.eml", "text of part 0"):
        "RFC 5322 4.5: blanks before a colon are allowed",
    ("python", "mikel-mail/rfc2822/example14.eml", "subject"):
        "RFC 2047 6.2: blanks go only between two encoded words",
    ("python", "mime4j-mimetools/2002_06_12_doublebound.msg", "tree"):
        "RFC 2046 5.1.1: each boundary line starts a part, also directly behind another",
    ("python", "mime4j-mimetools/double-bound.msg", "tree"):
        "RFC 2046 5.1.1: each boundary line starts a part, also directly behind another",
    ("python", "mime4j-mimetools/hdr-fakeout.msg", "text of part 0"):
        "RFC 5322 4.2: a line of blanks is folding, it does not end the header",
    ("python", "mime4j-mimetools/multi-2gifs-base64.msg", "tree"):
        "a message in base64 stays a leaf; Python's child is the base64 text",
    ("mime4j", "mime4j-mimetools/multi-2gifs-base64.msg", "tree"):
        "a message in base64 has no offsets: it stays a leaf",
    ("python", "mime4j-mimetools/multi-badnames.msg", "tree"): "a folded boundary is unfolded",
    ("python", "mime4j-mimetools/multi-clen.msg", "tree"): "a folded boundary is unfolded",
    ("python", "mime4j-mimetools/multi-digest.msg", "tree"): "a folded boundary is unfolded",
    ("python", "mime4j-mimetools/multi-simple.msg", "tree"): "a folded boundary is unfolded",
}

ALSO_FOUND = set()
COUNTS = {}
DIFFERENCES = []


def compare(judge, file, item, ours, theirs):
    compared, differing = COUNTS.get(judge, (0, 0))
    is_same = ours == theirs
    COUNTS[judge] = (compared + 1, differing + (not is_same))
    if is_same:
        return
    for key in ((judge, file, item), (judge, file, "*")):
        if key in KNOWN:
            ALSO_FOUND.add(key)
            return
    DIFFERENCES.append(f"{judge}: {file}: {item}:\n    ours   {ours!r}\n    theirs {theirs!r}")


def one_line(text):
    return " ".join(re.sub(r"[\x00-\x20\x7f]+", " ", text).split())


def body_text(text):
    """Line ends as LF, none at the end: judges differ on whose the last one is."""
    return text.replace("\r\n", "\n").rstrip("\n")


# ---- Python's email ----------------------------------------------------------------------------

def python_tree(message, depth=0):
    yield depth, message
    # Python also takes the fields of a delivery status or an external body for messages.
    is_container = message.get_content_maintype() == "multipart" or message.get_content_type() in (
        "message/rfc822", "message/global")
    if is_container and message.is_multipart():
        for part in message.get_payload():
            yield from python_tree(part, depth + 1)


def python_header(value):
    """One line, or None where Python cannot say: raw 8-bit bytes, unknown charsets."""
    if not isinstance(value, str):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            parts = email.header.decode_header(value)
            return one_line("".join(
                text if isinstance(text, str) else text.decode(charset or "ascii", "replace")
                for text, charset in parts))
        except (LookupError, ValueError, email.errors.HeaderParseError):
            return None


def python_text(part):
    """Bytes of a text part in its own charset, or None if Python cannot say."""
    charset = part.get_content_charset() or "us-ascii"
    payload = part.get_payload(decode=True)
    if payload is None:
        return None
    try:
        return payload.decode(charset)
    except (LookupError, UnicodeError):
        return None


def python_addresses(values):
    result = []
    for name, address in email.utils.getaddresses([one_line(value) for value in values]):
        if address:
            result.append((python_header(name), address))
    return result


def our_addresses(rows):
    return [(one_line(name), local + ("@" + domain if domain else ""))
            for name, local, domain, _ in rows if local or domain]


def judge_python(file, raw, ours):
    message = email.message_from_bytes(raw)
    tree = list(python_tree(message))
    # An attached message is one node of Python's tree, with the inner message as its only child:
    # the same shape as ours.
    our_parts = ours["parts"]
    depths = []
    for part in our_parts:
        depths.append(0 if part["parent"] < 0 else depths[part["parent"]] + 1)
    our_tree = [(d, f"{p['type']}/{p['subtype']}") for d, p in zip(depths, our_parts)]
    their_tree = [(d, m.get_content_type()) for d, m in tree]
    compare("python", file, "tree", our_tree, their_tree)
    if our_tree == their_tree:
        for i, (part, (_, theirs)) in enumerate(zip(our_parts, tree)):
            judge_python_part(file, i, part, theirs)
    judge_python_fields(file, ours, message)


def judge_python_part(file, i, part, theirs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = theirs.get_filename()
    name = name and python_header(name)
    if name and "\ufffd" not in name:
        compare("python", file, f"name of part {i}", one_line(part["name"]), name)
    if theirs.get_content_maintype() != "text":
        return
    text = python_text(theirs)
    if text is not None:
        compare("python", file, f"text of part {i}", body_text(part["text"]), body_text(text))


def judge_python_fields(file, ours, message):
    if message["Subject"] is not None:
        theirs = python_header(message["Subject"])
        if theirs is not None and len(theirs.encode()) <= 500:
            compare("python", file, "subject", one_line(ours["subject"]), theirs)
    for key, name in (("from", "From"), ("to", "To"), ("cc", "Cc"), ("reply_to", "Reply-To")):
        values = [str(v) for v in message.get_all(name, [])]
        if values:
            compare("python", file, key, our_addresses(ours[key]), python_addresses(values))
    if message["Date"] is not None:
        try:
            theirs = int(email.utils.parsedate_to_datetime(str(message["Date"])).timestamp() * 1000)
        except (ValueError, TypeError):
            theirs = None
        # without a zone Python means local time; we mean UTC
        compare("python", file, "date", ours.get("date"), theirs)
    references = re.findall(r"<\s*([^<>]+?)\s*>", str(message.get("References", "")))
    if "<" in str(message.get("References", "")):
        compare("python", file, "references", ours["references"],
                [re.sub(r"\s", "", r) for r in references])


# ---- mail-parser -------------------------------------------------------------------------------

def parser_tree(message, parts, depth=0, index=0):
    part = parts[index]
    yield depth, part
    body = part["body"]
    kind = next(iter(body)) if isinstance(body, dict) else body
    if kind == "Multipart":
        for child in body[kind]:
            yield from parser_tree(message, parts, depth + 1, child)
    elif kind == "Message" and body[kind]:
        yield from parser_tree(body[kind], body[kind]["parts"], depth + 1)


def parser_header(part, name):
    for header in part["headers"]:
        if header["name"] == name:
            return header["value"]
    return None


def parser_type(part):
    value = parser_header(part, "content_type")
    if not isinstance(value, dict) or "ContentType" not in value:
        return None
    value = value["ContentType"]
    if not value.get("c_subtype"):
        return None
    return f"{value['c_type'].lower()}/{value['c_subtype'].lower()}"


def parser_addresses(value):
    result = []
    address = value.get("Address", {}) if isinstance(value, dict) else {}
    groups = [("", address.get("List", []))]
    groups += [(g.get("name"), g["addresses"]) for g in address.get("Group", [])]
    for _, rows in groups:
        for row in rows:
            if row.get("address"):
                result.append((one_line(row.get("name") or ""), row["address"]))
    return result


def parser_date(value):
    if not isinstance(value, dict) or "DateTime" not in value:
        return None
    d = value["DateTime"]
    zone = (d["tz_hour"] * 60 + d["tz_minute"]) * (-1 if d["tz_before_gmt"] else 1)
    text = (f"{d['day']} {'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split()[d['month'] - 1]}"
            f" {d['year']} {d['hour']}:{d['minute']}:{d['second']} "
            f"{'-' if zone < 0 else '+'}{abs(zone) // 60:02}{abs(zone) % 60:02}")
    return int(email.utils.parsedate_to_datetime(text).timestamp() * 1000)


def judge_parser(file, raw, ours, theirs):
    tree = list(parser_tree(theirs, theirs["parts"]))
    our_parts = ours["parts"]
    depths = []
    for part in our_parts:
        depths.append(0 if part["parent"] < 0 else depths[part["parent"]] + 1)
    compare("mail-parser", file, "tree", depths, [d for d, _ in tree])
    if depths != [d for d, _ in tree]:
        return
    for i, (part, (depth, other)) in enumerate(zip(our_parts, tree)):
        their_type = parser_type(other)
        if their_type:
            compare("mail-parser", file, f"type of part {i}",
                    f"{part['type']}/{part['subtype']}", their_type)
        if b"\r" not in raw:  # their offsets are of the message with LF
            compare("mail-parser", file, f"header of part {i}",
                    part["header_offset"], other["offset_header"])
            compare("mail-parser", file, f"body of part {i}",
                    part["body_offset"], other["offset_body"])
        body = other["body"]
        for kind in ("Text", "Html"):
            if isinstance(body, dict) and kind in body and part["type"] == "text":
                compare("mail-parser", file, f"text of part {i}",
                        body_text(part["text"]), body_text(body[kind]))
    judge_parser_fields(file, ours, theirs["parts"][0])


def judge_parser_fields(file, ours, root):
    subject = parser_header(root, "subject")
    if isinstance(subject, dict) and "Text" in subject:
        compare("mail-parser", file, "subject", one_line(ours["subject"]),
                one_line(subject["Text"]))
    for key in ("from", "to", "cc", "reply_to"):
        value = parser_header(root, key)
        if value is not None:
            compare("mail-parser", file, key, our_addresses(ours[key]), parser_addresses(value))
    value = parser_header(root, "date")
    if value is not None:
        compare("mail-parser", file, "date", ours.get("date"), parser_date(value))
    value = parser_header(root, "message_id")
    if isinstance(value, dict) and "Text" in value:
        compare("mail-parser", file, "message_id", ours["message_id"], value["Text"])


# ---- mime4j ------------------------------------------------------------------------------------

def mime4j_tree(node, depth=0):
    """(depth, is multipart, raw body or None) of each part."""
    multipart, body, message = node.find("multipart"), node.find("body"), node.find("message")
    text = (body.text or "")[1:] if body is not None else None  # each begins with a line end
    yield depth, multipart is not None and multipart.find("body-part") is not None, text
    if multipart is not None:
        for part in multipart.findall("body-part"):
            yield from mime4j_tree(part, depth + 1)
    if message is not None:
        yield from mime4j_tree(message, depth + 1)


def judge_mime4j(file, raw, ours, path):
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError:
        return  # bytes that are no XML
    theirs = list(mime4j_tree(root))
    our_parts = ours["parts"]
    depths = []
    for part in our_parts:
        depths.append(0 if part["parent"] < 0 else depths[part["parent"]] + 1)
    parents = {p["parent"] for p in our_parts}
    our_shape = [(d, p["type"] == "multipart" and i in parents)
                 for i, (d, p) in enumerate(zip(depths, our_parts))]
    compare("mime4j", file, "tree", our_shape, [(d, m) for d, m, _ in theirs])
    if our_shape != [(d, m) for d, m, _ in theirs]:
        return
    for i, (part, (_, _, text)) in enumerate(zip(our_parts, theirs)):
        if text is None or i in parents:
            continue
        body = raw[part["body_offset"]:part["body_offset"] + part["body_len"]]
        if all(c < 128 for c in body):
            compare("mime4j", file, f"body of part {i}", body_text(body.decode()),
                    body_text(text))


# ---- the same message with other line ends -----------------------------------------------------

def without_offsets(ours):
    result = dict(ours, file="")
    result["parts"] = [{k: v.replace("\r\n", "\n") if isinstance(v, str) else v
                        for k, v in p.items()
                        if k not in ("header_offset", "header_len", "body_offset", "body_len")}
                       for p in ours["parts"]]
    return result


def judge_line_ends(file, raw, ours, dump, scratch):
    """LF messages read as CRLF give the same but for offsets."""
    if b"\r" in raw:
        return
    path = os.path.join(scratch, "crlf.eml")
    with open(path, "wb") as f:
        f.write(raw.replace(b"\n", b"\r\n"))
    again = run(dump, [path])[0]
    compare("line-ends", file, "all", without_offsets(again), without_offsets(ours))


def judge_flanker(data, dump, scratch):
    """Each valid mailbox is one address, with a local part and a domain."""
    with open(os.path.join(data, "flanker-addresses/mailbox_valid.txt"), encoding="utf-8") as f:
        lines = [re.sub(r"\s{3,}#.*", "", line.rstrip("\n")) for line in f]
    lines = [line for line in lines if line and not line.lstrip().startswith("#")]
    paths = []
    for i, line in enumerate(lines):
        paths.append(os.path.join(scratch, f"{i}.eml"))
        with open(paths[-1], "wb") as f:
            f.write(b"To: " + line.encode() + b"\n\n")
    for line, ours in zip(lines, run(dump, paths)):
        found = [bool(local and domain) for _, local, domain, _ in ours["to"]]
        compare("flanker", line, "count", found, [True])


def run(dump, files):
    done = subprocess.run([dump] + files, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]


def main():
    dump, data = sys.argv[1], sys.argv[2]
    files = sorted(glob.glob(os.path.join(data, "**", "*.eml"), recursive=True) +
                   glob.glob(os.path.join(data, "**", "*.msg"), recursive=True))
    scratch = os.environ.get("TMPDIR", "/tmp")
    scratch = subprocess.run(["mktemp", "-d", "-p", scratch], stdout=subprocess.PIPE,
                             check=True).stdout.decode().strip()
    for path, ours in zip(files, run(dump, files)):
        file = os.path.relpath(path, data)
        with open(path, "rb") as f:
            raw = f.read()
        judge_python(file, raw, ours)
        stem = os.path.splitext(path)[0]
        if os.path.exists(stem + ".json"):
            with open(stem + ".json", encoding="utf-8") as f:
                judge_parser(file, raw, ours, json.load(f))
        if os.path.exists(stem + ".xml"):
            judge_mime4j(file, raw, ours, stem + ".xml")
        judge_line_ends(file, raw, ours, dump, scratch)
    judge_flanker(data, dump, scratch)
    subprocess.run(["rm", "-rf", scratch], check=True)
    print(f"{len(files)} messages")
    for judge, (compared, differing) in sorted(COUNTS.items()):
        print(f"{judge}: {compared} values compared, {differing} differ")
    stale = [key for key in KNOWN if key not in ALSO_FOUND]
    print(f"{len(KNOWN)} known differences, {len(DIFFERENCES)} new, {len(stale)} stale")
    for difference in DIFFERENCES:
        print(difference)
    for key in stale:
        print("no longer differs:", key)
    return 1 if DIFFERENCES or stale or len(files) < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
