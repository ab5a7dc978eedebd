"""HTTP/2 by hand, for what no gRPC library would send: connections that say nothing, messages that do not end, streams that
are opened and reset."""
import socket
import ssl
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A header that is never indexed, without Huffman coding."""
    def text(t):
        assert len(t) < 127
        return bytes([len(t)]) + t.encode()
    return b"\x00" + text(name) + text(value)


def connect(address):
    """address: "unix:/path" or "host:port"."""
    if address.startswith("unix:"):
        s = socket.socket(socket.AF_UNIX)
        s.connect(address[5:])
        return s
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)))


def secure(s):
    """TLS over a connected socket, whoever is at the other side."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(s)


class Connection:
    def __init__(self, address, tls=False):
        self.socket = secure(connect(address)) if tls else connect(address)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
        self.next = 1

    def open(self, path):
        """Begins a call, and returns the number of its stream."""
        stream, self.next = self.next, self.next + 2
        headers = b"".join(literal(n, v) for n, v in (
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
            ("content-type", "application/grpc"), ("te", "trailers")))
        self.socket.sendall(frame(HEADERS, END_HEADERS, stream, headers))
        return stream

    def send(self, stream, data, end=False):
        self.socket.sendall(frame(DATA, END_STREAM if end else 0, stream, data))

    def reset(self, stream):
        self.socket.sendall(frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))

    def is_closed(self):
        """Whether the other side has ended the connection; reads away what it has said."""
        self.socket.setblocking(False)
        try:
            while True:
                if not self.socket.recv(65536):
                    return True
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
            self.socket.setblocking(True)

    def close(self):
        self.socket.close()
