"""An endpoint for a container's credentials, which hangs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Credentials:
    """Hands out credentials that want to be refreshed at once, unless it hangs."""

    def __init__(self, hangs: Callable[[], bool]) -> None:
        self.hung = 0
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if hangs():
                    endpoint.hung += 1
                    # Until the client has gone.
                    self.rfile.read(1)
                    return
                soon = datetime.now(UTC) + timedelta(minutes=1)
                body = json.dumps(
                    {
                        "AccessKeyId": "test",
                        "SecretAccessKey": "test",
                        "Token": "test",
                        "Expiration": soon.isoformat(timespec="seconds").replace("+00:00", "Z"),
                    }
                ).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/credentials"

    def __enter__(self) -> Credentials:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
