"""moto's server, which here refuses unsigned requests as S3 does; by itself it breaks over them.

python -m tests.cluster.s3_server HOST PORT
"""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def refusing_unsigned(application: Callable[[dict[str, Any], StartResponse], Iterable[bytes]]) -> Any:
    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if "HTTP_AUTHORIZATION" in environ or environ["PATH_INFO"].startswith("/moto-api/"):
            return application(environ, start_response)
        start_response("403 Forbidden", [("Content-Length", "0")])
        return []

    return answer


if __name__ == "__main__":
    host, port = sys.argv[1:]
    os.environ["MOTO_PORT"] = port
    server = refusing_unsigned(DomainDispatcherApplication(create_backend_app))
    run_simple(host, int(port), server, threaded=True, request_handler=MotoRequestHandler)
