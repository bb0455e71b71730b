"""A real store that speaks S3's API and checks its signatures: Versity's gateway (github.com/versity/versitygw)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import obstore
from obstore.store import S3Store
from tests.fetch.running import running

from devkit import binaries, ports
from devkit.pki import Pair

KEY: Final = "an-access-key"
SECRET: Final = "a-secret-access-key"
BUCKET: Final = "models"
REGION: Final = "eu-west-7"


@dataclass(frozen=True, slots=True)
class Store:
    """A store with one bucket."""

    endpoint: str
    folder: Path

    def url(self, key: str) -> str:
        """The source of an object."""
        return f"s3://{BUCKET}/{key}?endpoint={self.endpoint}&region={REGION}"

    def put(self, key: str, content: bytes) -> None:
        """Upload an object."""
        store = S3Store(
            BUCKET,
            endpoint=self.endpoint,
            region=REGION,
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True, "allow_invalid_certificates": True},
        )
        obstore.put(store, key, content)


@contextmanager
def store(folder: Path, pair: Pair | None = None) -> Iterator[Store]:
    """A store whose data is in `folder`; with TLS if there is a `pair`."""
    (folder / "data" / BUCKET).mkdir(parents=True)
    (folder / "metadata").mkdir()
    port = ports.free(1)[0]
    command = [str(binaries.ensure("versitygw")), "--port", f"127.0.0.1:{port}", "--region", REGION, "--quiet"]
    if pair is not None:
        command += ["--cert", str(pair.certificate), "--key", str(pair.key)]
    command += ["posix", "--sidecar", str(folder / "metadata"), str(folder / "data")]
    environment = {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET}
    with running(command, port, folder / "log", environment):
        yield Store(f"{'https' if pair else 'http'}://127.0.0.1:{port}", folder)
