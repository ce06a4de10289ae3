#!/usr/bin/env python3
"""An age plugin that hides nothing: its stanza is the file key itself. Without arguments it prints an identity file."""

import base64
import sys

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def bech32(prefix, data):
    def polymod(values):
        generators = [0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]
        check = 1
        for value in values:
            top = check >> 25
            check = (check & 0x1FFFFFF) << 5 ^ value
            for bit in range(5):
                check ^= generators[bit] if (top >> bit) & 1 else 0
        return check

    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    words = [int(bits[at : at + 5], 2) for at in range(0, len(bits), 5)]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = polymod(expanded + words + [0] * 6) ^ 1
    words += [(check >> 5 * (5 - at)) & 31 for at in range(6)]
    return prefix + "1" + "".join(CHARSET[word] for word in words)


def receive():
    command = sys.stdin.readline().rstrip("\n").split(" ")[1:]
    body = ""
    while True:
        line = sys.stdin.readline().rstrip("\n")
        body += line
        if len(line) < 64:
            return command, base64.b64decode(body + "=" * (-len(body) % 4))


def send(command, body=b""):
    text = base64.b64encode(body).decode().rstrip("=")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)] or [""]
    if len(lines[-1]) == 64:
        lines.append("")
    sys.stdout.write("-> " + command + "\n" + "\n".join(lines) + "\n")
    sys.stdout.flush()


def main():
    if len(sys.argv) < 2:
        print("# Recipient: " + bech32("age1fake", b"nobody"))
        print(bech32("age-plugin-fake-", b"nobody").upper())
        return
    received = []
    while not received or received[-1][0][0] != "done":
        received.append(receive())
    for command, body in received:
        if command[0] == "wrap-file-key":
            send("recipient-stanza 0 fake", body)
            receive()
        if command[0] == "recipient-stanza" and command[2] == "fake":
            send("file-key 0", body)
            receive()
    send("done")


main()
