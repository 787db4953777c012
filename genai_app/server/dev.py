"""`make dev`: builds and serves, again after each change of a source. For developers only."""

import signal
import subprocess
import sys
import time

from genai_app.server import build

LOOK_S = 1.0


def main() -> int:
    """Runs until Ctrl-C. While a build fails, the last good one stays in service."""
    server: subprocess.Popen[bytes] | None = None
    seen = ""
    try:
        while True:
            now = build.fingerprint()
            if now != seen:
                seen = now
                built = subprocess.run([sys.executable, "-m", "genai_app", "build"], check=False)
                if built.returncode == 0:
                    _stop(server)
                    server = subprocess.Popen([sys.executable, "-m", "genai_app", "serve"])
            time.sleep(LOOK_S)
    except KeyboardInterrupt:
        _stop(server)
        return 0


def _stop(server: subprocess.Popen[bytes] | None) -> None:
    if server is not None and server.poll() is None:
        server.send_signal(signal.SIGTERM)
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
