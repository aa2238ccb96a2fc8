"""The table ``[toolchains]``: the address of the object store, and what belongs to it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sccachedist.config import load_server_settings
from sccachedist.config.schema import read_settings
from sccachedist.config.secrets import with_secrets
from sccachedist.config.toolchains import ObjectStoreAddress, ToolchainsSettings
from sccachedist.errors import ConfigError
from tests.support.config_lines import SERVER


@pytest.mark.parametrize(
    ("text", "bucket", "prefix"),
    [
        ("s3://farm", "farm", ""),
        ("s3://farm/", "farm", ""),
        ("s3://our.farm-1/tool/chains/", "our.farm-1", "tool/chains/"),
        ("s3://farm/a_B.c", "farm", "a_B.c/"),
    ],
)
def test_addresses(text: str, bucket: str, prefix: str) -> None:
    """A bucket, and what stands before the names in it."""
    address = ObjectStoreAddress.parse(text)
    assert address == ObjectStoreAddress(bucket, prefix)
    assert str(address) == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    [
        "", "farm", "s3://", "s3://f", "s3:///x", "s3://Farm", "s3://farm/a b", "s3://farm/%41", "s3://farm/a//b",
        "s3://farm/../b", "s3://farm/.", "s3://a..b", "s3://user:secret@farm", "s3://farm:80", "http://farm", "s3://farm\n",
        "s3://farm/a?b", "s3://-farm",
    ],
)  # fmt: skip
def test_other_addresses(text: str) -> None:
    """They are refused with what is expected."""
    with pytest.raises(ConfigError, match=r"^toolchains\.store: expected s3://BUCKET or s3://BUCKET/PREFIX$"):
        read_settings(ToolchainsSettings, {"store": text}, "toolchains")


@given(st.text() | st.text(alphabet="s3:/.abc-").map("s3://{}".format))
def test_any_text(text: str) -> None:
    """Any text that is written there is an address whose text means the same, or is refused."""
    try:
        address = ObjectStoreAddress.parse(text)
    except ValueError:
        return
    assert ObjectStoreAddress.parse(str(address)) == address


@pytest.mark.parametrize("region", ["", "EU", "a/b", "a b", "-a"])
def test_regions(region: str) -> None:
    """What cannot be part of a host's name is none."""
    with pytest.raises(ConfigError, match="store_region"):
        read_settings(ToolchainsSettings, {"store_region": region}, "toolchains")


@pytest.mark.parametrize("half", ['store_access_key = "id"', 'store_secret_key = "secret"'])
def test_half_of_a_key(tmp_path: Path, half: str) -> None:
    """A file with the id or the secret alone is refused when it is read, also by ``sccachedist check``."""
    text = f'{SERVER}\n[toolchains]\nstore = "s3://farm"\n{half}\n'
    (tmp_path / "server.conf").write_text(text)
    with pytest.raises(ConfigError, match=r"server\.conf: toolchains\.store_access_key: a key has an id and a secret"):
        load_server_settings(tmp_path / "server.conf")
    (tmp_path / "server.conf").write_text(text.replace(half, 'store_access_key = "id"\nstore_secret_key = "secret"'))
    assert load_server_settings(tmp_path / "server.conf").toolchains.store_secret_key == "secret"


def test_secret_in_a_file(tmp_path: Path) -> None:
    """The key's secret may lie in a file of its own, and is in no text of the settings."""
    (tmp_path / "key").write_text("hidden\n")
    document = with_secrets({"toolchains": {"store_access_key": "id", "store_secret_key_file": "key"}}, tmp_path, {})
    assert isinstance(document, dict)
    settings = read_settings(ToolchainsSettings, document["toolchains"])
    assert (settings.store_access_key, settings.store_secret_key) == ("id", "hidden")
    assert "hidden" not in repr(settings)
