#!/usr/bin/env python3
"""Verify a bundle of evidence: that it shows the whole trail of one case, as it was signed.

    python3 verify.py CASE.nrmtrail [--policy FILE] [--trust FILE]

This program stands alone. It needs Python 3.11 and the library `cryptography`; it asks nobody.
It makes one check after the other and prints each with its result. It stops at the first that
fails. Exit code 0: everything holds. 1: something does not. 2: the files cannot be read, or what
was found cannot be written.

Whom you trust is said in two files. `policy` names the log and the witnesses. `trust.json` names
the registrars, the registry's operator and the notary. Have copies that did not come with the
bundle, and give them with --policy and --trust. Without them the bundle's own copies are used,
and what holds then holds only if those are right.
"""

import base64
import io
import json
import os
import re
import struct
import sys
import uuid
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

STREAMS = ("registry", "trail", "disclosures")
ACTION, DISCLOSURE, RECEIPT, AUDIT, EPOCH = 1, 2, 3, 6, 7
KINDS = {ACTION: "action", DISCLOSURE: "disclosure", RECEIPT: "receipt", AUDIT: "audit"}
LOG, WITNESS, MLDSA = 1, 4, 6
KEY_SIZES = {LOG: 32, WITNESS: 32, MLDSA: 1312}
NOBODY = "00000000-0000-0000-0000-000000000000"
EMPTY_TREE = sha256(b"").digest()
ZEROS = bytes(32)
A_DAY = 86_400_000
TEN_MINUTES = 600_000
LARGEST = 256 << 20
FACTS = {
    1: ("AgencyDesignated", "agency role purposes* valid_from# valid_to?# designated_by"),
    2: (
        "AgencyKeyPublished",
        "agency signing_key opening_key valid_from# previous?= previous_signature?",
    ),
    3: ("AgencyRegistered", "agency name country"),
    4: ("AgencyReinstated", "agency"),
    5: ("AgencySuspended", "agency reason"),
}
"""Registry facts by their number. * is a list, # an instant, ? may be absent, = is 32 bytes."""


class Fails(Exception):
    """A check does not hold. The message says which and where."""


# ---------------------------------------------------------------- The archive and its list


def the_archive_hides_nothing(data):
    """Unpack the archive. Pack the files again. The two archives must be equal."""
    if len(data) > LARGEST:
        raise Fails("the archive is larger than 256 MiB")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            about = archive.infolist()
            if len(about) > 60_000 or sum(member.file_size for member in about) > LARGEST:
                raise Fails("the archive holds too much")
            if any(member.compress_type != zipfile.ZIP_STORED for member in about):
                raise Fails("a file in the archive is compressed")
            files = {member.filename: archive.read(member) for member in about}
        again = io.BytesIO()
        with zipfile.ZipFile(again, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(files):
                member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                member.create_system, member.external_attr = 3, 0o100644 << 16
                archive.writestr(member, files[name])
    except (zipfile.BadZipFile, RuntimeError, OSError, ValueError, EOFError, struct.error):
        raise Fails("this is no ZIP archive, or it is damaged") from None
    if again.getvalue() != data:
        raise Fails("something was added to the archive or changed in it")
    return files


def every_file_is_as_listed(files):
    """Each file has the digest that MANIFEST lists, and no file is there that is not listed."""
    listed = files.pop("MANIFEST", None)
    lines = (f"{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    if listed != "".join(lines).encode():
        raise Fails("a file is not as MANIFEST lists it")


def every_file_belongs(files):
    """There are just the files of a bundle. Return how many entries each stream has."""
    fixed = {"README.txt", "case", "checkpoint", "epoch.entry", "epoch.tlog-proof", "policy"}
    fixed |= {"trust.json", "verify.py"} | {f"{stream}/map.proof" for stream in STREAMS}
    if fixed - files.keys():
        raise Fails(f"{min(fixed - files.keys())} is missing")
    counts, rest = {}, files.keys() - fixed
    for stream in STREAMS:
        mine = {name for name in rest if name.startswith(f"{stream}/")}
        count = sum(name.endswith(".entry") for name in mine)
        kinds = ["entry", "tlog-proof"]
        if stream == "registry" or any(name.endswith(".body") for name in mine):
            kinds.append("body")
        if mine != {f"{stream}/{number:06}.{kind}" for number in range(count) for kind in kinds}:
            raise Fails(f"a file of {stream} is missing, or one is too many")
        rest -= mine
        counts[stream] = count
    stamped = {
        name.removesuffix(".tsr")
        for name in rest
        if re.fullmatch(r"anchors/[1-9][0-9]{0,18}\.tsr", name)
    }
    if rest != {f"{at}.{kind}" for at in stamped for kind in ("checkpoint", "consistency", "tsr")}:
        raise Fails("a file is there that belongs in no bundle")
    return counts


# ---------------------------------------------------------------- The checkpoint


def the_policy_can_be_read(data):
    """Read whom you trust: the log's keys, the witnesses, and how many of them must agree."""
    if len(data) > 1_000_000 or not data.endswith(b"\n"):
        raise Fails("the policy is too large, or its last line is cut off")
    if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", data):
        raise Fails("the policy has control characters")
    logs, witnesses, groups, quorum, grouped = [], {}, {}, None, set()
    for line in text_of(data, "utf-8").split("\n"):
        words = re.split("[ \t]+", line.strip(" \t"))
        taken = {"none", *witnesses, *groups}
        match words:
            case [""]:
                continue
            case [first, *_] if first.startswith("#"):
                continue
            case ["log", vkey] | ["log", vkey, _]:
                logs.append(key_of(vkey, (LOG, MLDSA)))
            case ["witness", name, vkey] | ["witness", name, vkey, _] if name not in taken:
                witnesses[name] = key_of(vkey, (WITNESS, MLDSA))
            case ["group", name, needed, *members] if members and name not in taken:
                known = set(members) <= taken - {"none"} and len(set(members)) == len(members)
                if not known or grouped & set(members):
                    raise Fails("the policy names a member that is unknown or stands in two groups")
                grouped |= set(members)
                number = {"any": "1", "all": str(len(members))}.get(needed, needed)
                if not re.fullmatch("[1-9][0-9]{0,18}", number) or int(number) > len(members):
                    raise Fails("the policy asks for more members than a group has")
                groups[name] = (int(number), members)
            case ["quorum", name] if quorum is None and name in taken:
                quorum = name
            case _:
                raise Fails("the policy has a line that is none")
        keys = [*logs, *witnesses.values()]
        same = len({key[3] for key in keys}) < len(keys) or len({key[:2] for key in keys}) < len(
            keys
        )
        if same or len(keys) + len(groups) > 256:
            raise Fails("the policy names a key twice, or too many")
    if quorum is None:
        raise Fails("the policy asks for no quorum")
    return logs, witnesses, groups, quorum


def the_log_signed_the_checkpoint(note, policy):
    """The log's key signed this size and this root. Return them with all the signatures."""
    text, signatures = signed_note(note)
    lines = text.split("\n")
    if len(lines) != 4 or not lines[0] or lines[3]:
        raise Fails("the checkpoint is not three lines")
    origin, size, root = lines[0], number_of(lines[1]), bytes_of(lines[2])
    if len(root) != 32 or (size == 0 and root != EMPTY_TREE):
        raise Fails("the checkpoint's root is none")
    keys = [key for key in policy[0] if key[0] == origin]
    checkpoint = (origin, size, root, text)
    if not cosigned(checkpoint, keys, signatures):
        raise Fails("no key that the policy names for this log has signed the checkpoint")
    return checkpoint, signatures


def enough_witnesses_saw_the_checkpoint(checkpoint, signatures, policy):
    """Witnesses that the policy asks for signed that they saw it. Return when each did."""
    _, witnesses, _, _ = policy
    times = cosigned(checkpoint, list(witnesses.values()), signatures)
    seen = {name: times[key] for name, key in witnesses.items() if key in times}
    if not all(seen.values()):
        raise Fails("a witness left out when it saw the checkpoint")
    if not they_are_enough(seen, policy):
        raise Fails("too few of the witnesses that the policy asks for have signed the checkpoint")
    return seen


def they_are_enough(witnesses, policy):
    """Say whether the policy asks for no more witnesses than these."""
    _, _, groups, quorum = policy
    agreed = {"none", *witnesses}
    for name, (needed, members) in groups.items():
        if len(agreed & set(members)) >= needed:
            agreed.add(name)
    return quorum in agreed


def nothing_was_recorded_long_after_it_was_seen(recorded, seen, policy):
    """The newest entry has no later time than enough witnesses had when they saw it.

    Clocks may be ten minutes apart.
    """
    fit = {name for name, seconds in seen.items() if recorded <= seconds * 1000 + TEN_MINUTES}
    if fit != seen.keys() and not they_are_enough(fit, policy):
        raise Fails("the newest entry has a time long after witnesses saw it: it is dated forward")


def cosigned(checkpoint, keys, signatures):
    """Return which of these keys signed the checkpoint, and when. One bad signature fails all."""
    origin, size, root, text = checkpoint
    times = {}
    for name, key_id, value in signatures:
        for key in keys:
            if (name, key_id) != key[:2]:
                continue
            if key in times:
                raise Fails(f"{name} has signed the checkpoint twice")
            time, bare, message = 0, value, text.encode()
            if key[2] != LOG:
                if len(value) < 8:
                    raise Fails(f"the signature of {name} is cut off")
                time, bare = int.from_bytes(value[:8], "big"), value[8:]
                if time >= 1 << 63:
                    raise Fails(f"the time at which {name} signed is none")
            if key[2] == WITNESS:
                message = f"cosignature/v1\ntime {time}\n{text}".encode()
            if key[2] == MLDSA:
                message = b"subtree/v1\n\0" + short(name) + struct.pack(">Q", time)
                message += short(origin) + struct.pack(">QQ", 0, size) + root
            if not signature_holds(key[2], key[3], bare, message):
                raise Fails(f"the signature of {name} on the checkpoint does not hold")
            times[key] = time
    return times


def the_last_entry_sums_up_the_log(files, checkpoint):
    """The last entry of the log states the root of the map of heads. It is under the checkpoint."""
    data, (_, size, _, _) = files["epoch.entry"], checkpoint
    if len(data) != 60 or data[:4] != bytes([1, EPOCH, 0, 0]):
        raise Fails("epoch.entry is no EPOCH entry")
    covered, _, map_root, recorded = struct.unpack(">QQ32sQ", data[4:])
    index = is_in_the_log(data, files["epoch.tlog-proof"], files["checkpoint"], checkpoint)
    if (index, covered) != (size - 1, size - 1):
        raise Fails("epoch.entry is not the last entry of the log")
    return map_root, recorded


def every_stamped_log_is_the_beginning_of_this_one(files, checkpoint):
    """Each checkpoint that was time-stamped is of a log with which this log begins.

    When that was, the time-stamp says; README.txt tells how to check it. Return the sizes.
    """
    origin, whole, root, _ = checkpoint
    sizes = sorted(int(name[8:-4]) for name in files if name.endswith(".tsr"))
    for size in sizes:
        stamped = signed_note(files[f"anchors/{size}.checkpoint"])[0].split("\n")
        if len(stamped) != 4 or stamped[:2] != [origin, str(size)] or stamped[3] or size > whole:
            raise Fails(f"the stamped checkpoint of {size} entries is of another log or size")
        old_root = bytes_of(stamped[2])
        *lines, end = text_of(files[f"anchors/{size}.consistency"], "ascii").split("\n")
        proof = [bytes_of(line) for line in lines]
        if end or any(len(digest) != 32 for digest in proof):
            raise Fails(f"anchors/{size}.consistency is not a list of digests")
        if not begins_with(size, old_root, whole, root, proof):
            raise Fails(
                f"the log that was stamped with {size} entries is not the beginning of this"
            )
    return sizes


# ---------------------------------------------------------------- Each stream


def every_entry_is_in_the_log(files, stream, count, checkpoint):
    """Each entry of the stream stands in the log under the checkpoint. Return the entries read."""
    entries = []
    for number in range(count):
        at = f"{stream}/{number:06}"
        entry = entry_of(files[f"{at}.entry"], at)
        entry["index"] = is_in_the_log(
            files[f"{at}.entry"], files[f"{at}.tlog-proof"], files["checkpoint"], checkpoint
        )
        entry["body"], entry["at"] = files.get(f"{at}.body"), at
        entries.append(entry)
    return entries


def no_entry_is_missing_in_between(entries, tag, last, recorded):
    """Each entry has the next number and names the one before it by its digest."""
    before, index, time = ZEROS, -1, 0
    for number, entry in enumerate(entries):
        at = entry["at"]
        if entry["stream"] != tag:
            raise Fails(f"{at} is of another stream")
        if (entry["stream_seq"], entry["stream_prev"]) != (number, before):
            raise Fails(f"{at} does not follow the entry before it: one is missing or exchanged")
        if not index < entry["index"] < last:
            raise Fails(f"{at} does not stand after the entry before it")
        if not time <= entry["recorded"] <= recorded:
            raise Fails(f"{at} was recorded before the entry before it, or after the last of all")
        before, index, time = entry["leaf"], entry["index"], entry["recorded"]


def no_entry_is_missing_at_the_end(entries, tag, proof, map_root):
    """The map of heads has just this many entries for the stream, and just this last one."""
    key = sha256(b"\x04s" + tag).digest()
    lines = text_of(proof, "ascii").split("\n")
    if lines[:2] != ["nrm-map-proof@v1", f"key {key.hex()}"] or lines.pop() != "":
        raise Fails("map.proof is not about this stream")
    if entries:
        last = entries[-1]
        stated = [f"count {len(entries)}", f"head {base64.b64encode(last['leaf']).decode()}"]
        stated.append(f"index {last['index']}")
        if lines[2:5] != stated:
            raise Fails("the map has another end of this stream: an entry is missing")
        head = struct.pack(">Q32sQ", len(entries), last["leaf"], last["index"])
        found, siblings = one_key(key, sha256(b"\x05" + head).digest()), lines[5:]
    else:
        found, siblings = nothing_is_there(key, lines[2:3], len(lines) - 3), lines[3:]
    if len(siblings) > 256:
        raise Fails("the way through the map is too long")
    for depth, sibling in zip(range(len(siblings) - 1, -1, -1), siblings, strict=True):
        beside = bytes_of(sibling)
        if len(beside) != 32:
            raise Fails("a digest in map.proof is not 32 bytes")
        pair = beside + found if bit(key, depth) else found + beside
        found = sha256(b"\x03" + pair).digest()
    if found != map_root:
        raise Fails("map.proof does not lead to the root of the map: the stream is not whole")


def nothing_is_there(key, lines, depth):
    """The map has nothing for this key: its place is empty, or another key stands alone there."""
    if lines == ["absent empty"]:
        return ZEROS
    found = re.fullmatch("absent other ([0-9a-f]{64}) ([0-9a-f]{64})", "".join(lines))
    if not found:
        raise Fails("map.proof says neither what is there nor that nothing is")
    other, value = bytes.fromhex(found[1]), bytes.fromhex(found[2])
    if other == key or any(bit(key, d) != bit(other, d) for d in range(min(depth, 256))):
        raise Fails("map.proof shows another place of the map")
    return one_key(other, value)


def every_record_is_the_one_that_was_signed(entries):
    """The digest of each record is in the statement that was signed. Refused ones left none."""
    for entry in entries:
        body, at = entry["body"], entry["at"]
        if body is None:
            continue
        if entry["code"]:
            if body:
                raise Fails(f"{at}.body is there although the action was refused")
        elif sha256(body).digest() != entry["payload"]:
            raise Fails(f"{at}.body is not the record that was signed")
        else:
            leaves = leaves_of(entry)
            if leaves is not None and (len(leaves), tree(leaves)) != (
                entry["field_count"],
                entry["fields"],
            ):
                raise Fails(f"{at}.body does not list what was signed")


def leaves_of(entry):
    """Return what a disclosure, receipt or audit lists; None for any other kind."""
    body, at = entry["body"], 0
    if entry["kind"] == AUDIT:
        if len(body) != 32:
            raise Fails(f"{entry['at']}.body is not 32 bytes")
        return []
    if entry["kind"] == RECEIPT:
        leaves = [body[i : i + 32] for i in range(0, len(body), 32)]
        if not body or len(body) % 32 or len(set(leaves)) < len(leaves):
            raise Fails(f"{entry['at']}.body lists no deliveries, or one twice")
        return leaves
    if entry["kind"] != DISCLOSURE:
        return None
    leaves, places = [], []
    while at < len(body):
        (size,) = unpacked(">I", body, at)
        delivery = body[at + 4 : at + 4 + size]
        places.append(delivery_of(delivery)[:4])
        leaves.append(sha256(b"\0" + delivery).digest())
        at += 4 + size
    if at != len(body) or not places or any(a >= b for a, b in pairwise(places)):
        raise Fails(f"{entry['at']}.body is no list of deliveries")
    return leaves


# ---------------------------------------------------------------- Who signed


def every_entry_was_signed_by_who_may(streams, trust):
    """Follow the log. Each fact of the registry needs two registrars. Each entry needs its key.

    The facts say which agency had which key at which time. Nothing is taken from a fact before
    both registrars' signatures were found to hold.
    """
    operator, notary = actor(trust["operator"]), actor(trust["notary"])
    keys, agencies, readers, approved = {}, {}, {}, set()
    for entry in sorted((e for s in STREAMS for e in streams[s]), key=lambda e: e["index"]):
        who, at, agency = entry["actor"], entry["at"], "the registry's operator"
        if entry["kind"] == DISCLOSURE:
            public, agency = trust["notary"] if who == notary else None, "the notary"
        elif who == operator and entry["kind"] not in (RECEIPT, AUDIT):
            public = trust["operator"]
        else:
            reads = entry["kind"] in (RECEIPT, AUDIT)
            public, agency, place = keys.get(readers.get(who) if reads else who, (None, None, None))
            starts, ends = agencies[agency][place] if public else (0, None)
            # What a reader signs waits for its turn. It counts when it was signed, for a day.
            time = entry["actor_time"] if reads else entry["recorded"]
            in_force = starts <= time and (ends is None or time < ends)
            in_force = in_force and entry["recorded"] <= time + A_DAY
            if public and not in_force and not entry["code"]:
                raise Fails(f"{at}: the key of {agency} was not in force then")
        if public is None:
            raise Fails(f"{at}: no key that the registry knows has made this statement")
        message = b"nrm-trail/v1/action\n" + entry["statement"]
        if not signature_holds(LOG, public, entry["signature"], message):
            raise Fails(f"{at}: the signature does not hold")
        entry["agency"] = agency
        if at.startswith("registry/") and entry["kind"] == ACTION and not entry["code"]:
            take_the_fact(entry, trust["registrars"], keys, agencies, readers, approved)


def take_the_fact(entry, registrars, keys, agencies, readers, approved):
    """Two registrars approved this fact, once. If it names a key, the key counts from now on."""
    name, fact, approvals, message = fact_of(entry)
    signers = {
        registrars[who]
        for who, signature in approvals
        if who in registrars and signature_holds(LOG, registrars[who], signature, message)
    }
    if len(signers) < 2:
        raise Fails(f"{entry['at']}: the signatures of two registrars are missing")
    if message in approved:
        raise Fails(f"{entry['at']}: the same approvals were used before")
    approved.add(message)
    agency = text_of(fact["agency"], "utf-8")
    if (name == "AgencyRegistered") == (agency in agencies):
        raise Fails(f"{entry['at']}: the agency was registered before, or never")
    held = agencies.setdefault(agency, [])
    if name != "AgencyKeyPublished":
        return
    key = fact["signing_key"]
    newest = next(
        (public for public, who, i in keys.values() if (who, i) == (agency, len(held) - 1)), None
    )
    if (len(key), len(fact["opening_key"])) != (32, 1216) or actor(key) in keys:
        raise Fails(f"{entry['at']}: the key is none, or was used before")
    previous, signature = fact["previous"], fact["previous_signature"]
    if newest is None:
        if previous is not None or signature is not None:
            raise Fails(f"{entry['at']}: the agency's first key replaces none")
    elif previous != sha256(newest).digest() or not signature_holds(
        LOG, newest, signature or b"", message
    ):
        raise Fails(f"{entry['at']}: the key that is replaced has not signed")
    starts = max(fact["valid_from"], entry["recorded"])
    if held:
        starts = max(starts, held[-1][0], entry["recorded"] + 1)
        held[-1] = (held[-1][0], starts)
    keys[actor(key)] = (key, agency, len(held))
    readers[sha256(b"nrm-trail/v1/reader\n\x01" + key).digest()] = actor(key)
    held.append((starts, None))


def fact_of(entry):
    """Read a fact of the registry: Avro, its fields one after the other."""
    if entry["type"] not in FACTS:
        raise Fails(f"{entry['at']} is no fact of the registry")
    name, layout = FACTS[entry["type"]]
    source = io.BytesIO(entry["body"])
    event_id, _, _ = avro_bytes(source), avro_bytes(source), avro_bytes(source)
    avro_number(source)
    _, _ = avro_bytes(source), avro_bytes(source)
    fact, parts = {}, [name.encode(), event_id]
    for field in layout.split():
        path, value = field.rstrip("*#?="), None
        if "?" not in field or avro_number(source) == 1:
            value = avro_value(source, field)
        fact[path] = value
        if value is not None and path != "previous_signature":
            parts += [path.encode(), signed_form(value)]
    approvals = avro_list(
        source, lambda: (avro_bytes(source).decode("utf-8", "replace"), avro_bytes(source))
    )
    if source.read(1):
        raise Fails(f"{entry['at']}.body has more in it than a fact")
    return name, fact, approvals, b"nrm-registry/1\0" + b"".join(map(with_length, parts))


# ---------------------------------------------------------------- Reading bytes


def is_in_the_log(data, proof, note, checkpoint):
    """The proof leads from the entry to the root in the checkpoint. Return the entry's place."""
    head, _, carried = proof.partition(b"\n\n")
    if carried != note:
        raise Fails("a proof is under another checkpoint")
    lines = text_of(head, "ascii").split("\n")
    if len(lines) < 2 or lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1].startswith("index "):
        raise Fails("a proof is not in the form of C2SP")
    index, hashes = number_of(lines[1][6:]), [bytes_of(line) for line in lines[2:]]
    _, size, root, _ = checkpoint
    if index >= size or any(len(digest) != 32 for digest in hashes):
        raise Fails("a proof names no place in the log, or a digest is not 32 bytes")
    found, place, last = sha256(b"\0" + data).digest(), index, size - 1
    while last:
        if place % 2 or place < last:
            if not hashes:
                raise Fails("a proof is too short")
            beside = hashes.pop(0)
            pair = beside + found if place % 2 else found + beside
            found = sha256(b"\1" + pair).digest()
        place, last = place // 2, last // 2
    if hashes or found != root:
        raise Fails(f"entry {index} is not in the log of this checkpoint")
    return index


def begins_with(size, root, whole, whole_root, proof):
    """Say whether the proof leads from the beginning's root to that of the whole (RFC 9162)."""
    if size == whole:
        return not proof and root == whole_root
    if size & (size - 1) == 0:
        proof = [root, *proof]
    if not proof:
        return False
    place, last = size - 1, whole - 1
    while place % 2:
        place, last = place // 2, last // 2
    old = new = proof[0]
    for beside in proof[1:]:
        if not last:
            return False
        if place % 2 or place == last:
            old, new = (sha256(b"\1" + beside + found).digest() for found in (old, new))
            while place and not place % 2:
                place, last = place // 2, last // 2
        else:
            new = sha256(b"\1" + new + beside).digest()
        place, last = place // 2, last // 2
    return not last and (old, new) == (root, whole_root)


def entry_of(data, at):
    """Read an entry: 286 bytes that were signed, then what the log added."""
    names = "version kind type stream after actor actor_seq actor_prev actor_time schema"
    names += " field_count fields payload seen_size seen_root"
    names += " stream_seq stream_prev recorded alg size"
    found = unpacked(">BBH32s32s32sQ32sQ32sH32s32sQ32sQ32sQBH", data, 0)
    entry = dict(zip(names.split(), found, strict=True))
    signed = 337 + 64
    whole = len(data) > signed and len(data) == signed + 1 + data[signed]
    code = data[signed + 1 :]
    if (
        entry["version"] != 1
        or entry["kind"] not in KINDS
        or (entry["alg"], entry["size"]) != (1, 64)
    ):
        raise Fails(f"{at}.entry is of a version or kind that is unknown")
    if not whole or not re.fullmatch(rb"[A-Z0-9_]*", code):
        raise Fails(f"{at}.entry is not whole")
    signature = data[337:signed]
    entry |= {"statement": data[:286], "signature": signature, "code": code.decode()}
    return entry | {"leaf": sha256(b"\0" + data).digest()}


def delivery_of(data):
    """Read one delivery: to which seat, which number, which event."""
    source = io.BytesIO(data)
    version, texts = source.read(1), [sized(source), sized(source)]
    lane, seq, supersedes, mask, event = unpacked(">BQQH32s", source.read(51), 0)
    basis = sized(source)
    if version != b"\1" or source.read(1) or not all(texts) or supersedes >= seq:
        raise Fails("a delivery is not in its form")
    agency, purpose, basis = (text_of(t, "utf-8") for t in (*texts, basis))
    return agency, purpose, lane, seq, supersedes, mask, event, basis


def signed_note(data):
    """Read a note: text, an empty line, a line for each signature."""
    if len(data) > 1_000_000 or re.search(rb"[\x00-\x09\x0b-\x1f]", data):
        raise Fails("the checkpoint is too large or has control characters")
    text, found, lines = text_of(data, "utf-8").rpartition("\n\n")
    if not found or not lines.endswith("\n") or lines.count("\n") > 100:
        raise Fails("the checkpoint is no signed note")
    signatures = []
    for line in lines[:-1].split("\n"):
        mark, name, encoded = [*line.split(" ", 2), "", ""][:3]
        if mark != "\N{EM DASH}" or not is_a_name(name):
            raise Fails("the checkpoint has a signature line that is none")
        value = bytes_of(encoded)
        if len(value) < 5:
            raise Fails("the checkpoint has a signature that is cut off")
        signatures.append((name, value[:4], value[4:]))
    return text + "\n", signatures


def key_of(vkey, kinds):
    """Read a key: its name, its id, its kind and the key itself."""
    name, _, rest = vkey.partition("+")
    written, _, material = rest.partition("+")
    data = bytes_of(material)
    if (
        not is_a_name(name)
        or not data
        or data[0] not in kinds
        or len(data) != 1 + KEY_SIZES[data[0]]
    ):
        raise Fails("a key is none")
    key_id = sha256(name.encode() + b"\n" + data).digest()[:4]
    if written != key_id.hex():
        raise Fails("a key has the id of another")
    return name, key_id, data[0], data[1:]


def trust_of(data):
    """Read trust.json: the public keys of registrars, operator, notary, custodian and log."""
    sizes = {"operator": 32, "notary": 32, "custodian": 32, "custodian_opening": 1216}
    try:
        said = dict(json.loads(data).items())
        registrars = {name: bytes.fromhex(key) for name, key in said.pop("registrars").items()}
        hub, log = said.pop("hub"), key_of(str(said.pop("log")), (LOG,))
        trust = {name: bytes.fromhex(key) for name, key in said.items()}
        whole = {name: len(key) for name, key in trust.items()} == sizes and isinstance(hub, str)
        if not whole or [len(key) for key in set(registrars.values())] != [32, 32]:
            raise ValueError
        if len(registrars) != 2:
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Fails("trust.json is damaged") from None
    return trust | {"registrars": registrars, "log": log}


def signature_holds(kind, public, signature, message):
    """Say whether the signature was made with the private half of this key over this message."""
    try:
        if kind == MLDSA:
            from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

            MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
        else:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (ImportError, UnsupportedAlgorithm):
        raise Fails(
            "this computer cannot check ML-DSA signatures: install cryptography 50"
        ) from None
    except (InvalidSignature, ValueError):
        return False
    return True


def tree(leaves):
    """Return the root of a tree over these digests (RFC 6962)."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_TREE
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + tree(leaves[:half]) + tree(leaves[half:])).digest()


def one_key(key, value):
    """Return the digest of a part of the map that has one key."""
    return sha256(b"\2" + key + value).digest()


def bit(key, depth):
    """Return a bit of the key, the highest first."""
    return key[depth // 8] >> 7 - depth % 8 & 1


def actor(public):
    """Return by which digest statements name a key."""
    return sha256(b"nrm-trail/v1/actor\n\x01" + public).digest()


def is_a_name(name):
    """Say whether a key may have this name."""
    return bool(name) and not any(c.isspace() or c == "+" for c in name)


def number_of(text):
    """Read a number in decimal, with one way to write it."""
    if not re.fullmatch("0|[1-9][0-9]{0,18}", text) or int(text) >= 1 << 63:
        raise Fails("a number is not in its form")
    return int(text)


def bytes_of(text):
    """Read base64, with one way to write it."""
    try:
        data = base64.b64decode(text.encode(), validate=True)
    except ValueError:
        data = None
    if data is None or base64.b64encode(data).decode() != text:
        raise Fails("something is not base64")
    return data


def text_of(data, encoding):
    """Read text."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise Fails("something that is to be text is none") from None


def unpacked(form, data, at):
    """Read numbers and digests of fixed sizes."""
    try:
        return struct.unpack_from(form, data, at)
    except struct.error:
        raise Fails("something is cut off") from None


def sized(source):
    """Read bytes that follow their length."""
    (size,) = unpacked(">H", source.read(2), 0)
    data = source.read(size)
    if len(data) != size:
        raise Fails("something is cut off")
    return data


def with_length(data):
    """Return the bytes after their length."""
    if len(data) > 65535:
        raise Fails("a fact of the registry has a value that is too long")
    return struct.pack(">H", len(data)) + data


def short(name):
    """Return a name after its length, which is one byte."""
    data = name.encode()
    if len(data) > 255:
        raise Fails("a name is longer than ML-DSA signatures allow")
    return bytes([len(data)]) + data


def signed_form(value):
    """Return a value of a fact as registrars sign it."""
    if isinstance(value, list):
        return b"".join(map(with_length, value))
    return struct.pack(">q", value) if isinstance(value, int) else value


def avro_value(source, field):
    """Read one value of Avro."""
    if "*" in field:
        return avro_list(source, lambda: avro_bytes(source))
    if "#" in field:
        return avro_number(source)
    return source.read(32) if "=" in field else avro_bytes(source)


def avro_number(source):
    """Read a whole number of Avro."""
    found = shift = 0
    while shift < 70:
        byte = source.read(1)
        if not byte:
            break
        found |= (byte[0] & 127) << shift
        shift += 7
        if byte == b"\0" and shift > 7:
            break  # it could be written shorter
        if byte[0] < 128:
            number = (found >> 1) ^ -(found & 1)
            if -(1 << 63) <= number < 1 << 63:
                return number
            break
    raise Fails("a fact of the registry has a number that is none")


def avro_bytes(source):
    """Read text or bytes of Avro."""
    size = avro_number(source)
    data = source.read(size) if size >= 0 else b""
    if len(data) != size:
        raise Fails("a fact of the registry is cut off")
    return data


def avro_list(source, item):
    """Read a list of Avro."""
    found = []
    while count := avro_number(source):
        if not 0 < count < 10_000:
            raise Fails("a fact of the registry has a list that is none")
        found += [item() for _ in range(count)]
    return found


# ---------------------------------------------------------------- The whole


def time_of(milliseconds):
    """Say an instant for people, in UTC."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{milliseconds} ms"


def verify(data, own_policy=None, own_trust=None, say=print):
    """Make every check in turn, and say what holds. Raise Fails at the first that does not."""
    say(f"The bundle has the SHA-256 {sha256(data).hexdigest()}")
    files = the_archive_hides_nothing(data)
    say("holds: the archive hides nothing")
    every_file_is_as_listed(files)
    counts = every_file_belongs(files)
    say(f"holds: all {len(files)} files are as MANIFEST lists them, and none is missing")
    trusted = {"policy": own_policy, "trust.json": own_trust}
    for name, own in trusted.items():
        if own is None:
            digest = sha256(files[name]).hexdigest()
            say(
                f"NOTE:  {name} is the bundle's own; compare its SHA-256 with your copy's: {digest}"
            )
        elif own != files[name]:
            say(f"NOTE:  the bundle was made under another {name} than yours; yours counts")
    policy = the_policy_can_be_read(files["policy"] if own_policy is None else own_policy)
    trust = trust_of(files["trust.json"] if own_trust is None else own_trust)
    if trust["log"] not in policy[0]:
        raise Fails("the policy does not name the log that trust.json pins")
    checkpoint, signatures = the_log_signed_the_checkpoint(files["checkpoint"], policy)
    say(
        f"holds: the log {checkpoint[0]} signed {checkpoint[1]} entries, root {checkpoint[2].hex()}"
    )
    seen = enough_witnesses_saw_the_checkpoint(checkpoint, signatures, policy)
    for name, seconds in seen.items():
        say(f"holds: witness {name} saw this at {time_of(seconds * 1000)} UTC")
    map_root, recorded = the_last_entry_sums_up_the_log(files, checkpoint)
    say("holds: the last entry of the log sums up all streams")
    nothing_was_recorded_long_after_it_was_seen(recorded, seen, policy)
    say("holds: nothing in the log was recorded long after witnesses saw it")
    for stamped in every_stamped_log_is_the_beginning_of_this_one(files, checkpoint):
        say(f"holds: this log begins with the {stamped} entries of anchors/{stamped}.checkpoint")
        say(f"NOTE:  when they were there, anchors/{stamped}.tsr says; README.txt: how to check it")
    case = text_of(files["case"], "ascii")
    if not re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n", case):
        raise Fails("the file `case` holds no case id")
    case_id = uuid.UUID(case.strip()).bytes
    tags = {
        "registry": sha256(b"nrm-trail/v1/stream\n" + uuid.UUID(NOBODY).bytes).digest(),
        "trail": sha256(b"nrm-trail/v1/stream\n" + case_id).digest(),
        "disclosures": sha256(b"nrm-trail/v1/disclosures\n" + case_id).digest(),
    }
    streams = {}
    for name in STREAMS:
        entries = every_entry_is_in_the_log(files, name, counts[name], checkpoint)
        no_entry_is_missing_in_between(entries, tags[name], checkpoint[1] - 1, recorded)
        no_entry_is_missing_at_the_end(entries, tags[name], files[f"{name}/map.proof"], map_root)
        every_record_is_the_one_that_was_signed(entries)
        streams[name] = entries
        say(f"holds: {name} is whole: {len(entries)} entries, none missing, none exchanged")
    every_entry_was_signed_by_who_may(streams, trust)
    say("holds: every entry was signed by a key that two registrars approved, or that is pinned")
    say(f"\nThe trail of case {case.strip()}:")
    for entry in sorted(streams["trail"] + streams["disclosures"], key=lambda e: e["index"]):
        refused = f", refused: {entry['code']}" if entry["code"] else ""
        what = f"{KINDS[entry['kind']]}, event type {entry['type']}, by {entry['agency']}{refused}"
        say(f"  {time_of(entry['recorded'])}  entry {entry['index']}  {what}")


def beginning_of(path):
    """Read a file, but no more of it than shows that it is too large."""
    with Path(path).open("rb") as file:
        return file.read(LARGEST + 1)


def verdict(data, own_policy, own_trust):
    """Say whether everything holds. Return the exit code."""
    try:
        verify(data, own_policy, own_trust)
    except Fails as e:
        print(f"FAILS: {e}", flush=True)
        return 1
    whole = "this is the whole trail of the case, as it was signed."
    print(f"\nEverything holds: {whole}", flush=True)
    return 0


def main(words):
    """Read the command line and the files; say the verdict."""
    own, paths = {}, []
    words = list(words)
    while words:
        word = words.pop(0)
        if word in ("--policy", "--trust") and words:
            own[word] = words.pop(0)
        else:
            paths.append(word)
    if len(paths) != 1 or paths[0].startswith("-"):
        print(__doc__.split("\n\n")[1].strip(), file=sys.stderr)
        return 2
    try:
        data = beginning_of(paths[0])
        trusted = [beginning_of(own[o]) if o in own else None for o in ("--policy", "--trust")]
    except OSError as e:
        print(f"cannot be read: {e.filename}: {e.strerror}", file=sys.stderr)
        return 2
    try:
        return verdict(data, *trusted)
    except OSError as e:
        print(f"cannot be written: {e.strerror}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries again
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
