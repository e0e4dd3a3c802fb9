"""An HTTP server that is a thread of the test, in whatever network its maker is in: what receivers of
webhooks, push services, givers of tokens and others that we ask are made of."""

import http.server
import ssl
import threading


class Httpd:
    """Listens from now on. Each request, whatever its method, is given to `take` as the handler of
    http.server; `tls`: (certificate, key), paths."""

    def __init__(self, address, port, take, tls=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # pylint: disable=invalid-name
                take(self)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, port), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*map(str, tls))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self):
        """Nobody answers any more; the port is free."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def body_of(request):
    return request.rfile.read(int(request.headers.get("Content-Length", 0)))


def reply(request, status, body=b"", headers=()):
    request.send_response(status)
    for name, value in dict(headers).items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
