"""What is said of pictures that are named by URL."""

from pathlib import Path

import pytest

from mmrec.data.importers.shop_items import host_of, picture_notes
from mmrec.data.writing import PictureHost


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://cdn.shop.example/1.jpg?v=2", "cdn.shop.example"),
        ("https://cdn.shop.example:443/1.jpg", "cdn.shop.example"),
        ("http://cdn.shop.example:8080/1.jpg", "cdn.shop.example:8080"),
        ("http://[::1]:8080/1.jpg", "[::1]:8080"),
        ("http://shop.example:many/1.jpg", "no host"),
        ("file:///1.jpg", "no host"),
    ],
)
def test_the_host_of_a_url_has_its_port_where_it_is_unusual(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("hosts", "flags"),
    [
        (["a.example"], "--hosts a.example"),
        (["a.example:8080"], "--hosts a.example --port 8080"),
        (["a.example:8080", "a.example", "no host"], "--hosts a.example --port 80 --port 443 --port 8080"),
        (["[::1]:8080"], "--hosts ::1 --port 8080"),
    ],
)
def test_the_command_that_fetches_allows_the_ports_of_the_pictures(hosts: list[str], flags: str) -> None:
    (note,) = picture_notes(Path("shop"), [PictureHost(host, 1) for host in hosts])
    assert note.endswith(f"\n  mmrec fetch shop {flags}")
