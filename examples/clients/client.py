"""Sends NC (diagnostics) and CY (verify a CVV): each message is a 2-byte length, a 4-character header and the command."""

import socket
import struct
import sys


def receive(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise ConnectionError("closed by the HSM")
        data += part
    return data


def call(connection, command):
    message = b"0001" + command
    connection.sendall(struct.pack(">H", len(message)) + message)
    (length,) = struct.unpack(">H", receive(connection, 2))
    # Header, response code (the command's with its second letter advanced), error code, fields.
    response = receive(connection, length)
    return response[4:6].decode(), response[6:8].decode(), response[8:].decode("latin-1")


port = int(sys.argv[1]) if len(sys.argv) > 1 else 1500
with socket.create_connection(("127.0.0.1", port), timeout=5) as hsm:
    print(call(hsm, b"NC"))
    # CVK under the test LMK, CVV, account number, expiry, service code. Error 01 would be a wrong CVV.
    print(call(hsm, b"CYU9B4934384B19946B040CD702B4D581455614123456789012345;8701101"))
