"""Each MovieLens release, in small, written as its README describes it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mmrec.data.dataset import read_dataset
from mmrec.data.importers.movielens import import_movielens
from mmrec.data.tables import read_table
from mmrec.errors import InvalidDatasetError, NotFoundError

GENRES = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
]
GENRES += [
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]


def _flags(*names: str) -> str:
    return "|".join("1" if genre in names else "0" for genre in GENRES)


ML_100K = {
    "u.genre": "".join(f"{name}|{i}\n" for i, name in enumerate(GENRES)) + "\n",
    "u.item": (
        "1|Toy Story (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Toy%20Story|"
        f"{_flags('Animation', 'Comedy')}\n"
        f"2|Misérables, Les (1995)|01-Jan-1995||http://us.imdb.com/|{_flags('Drama')}\n"
        f"267|unknown||||{_flags('unknown')}\n"
    ),
    "u.user": "1|24|M|technician|85711\n2|53|F|other|94043\n",
    "u.data": "2\t1\t3\t881250949\n1\t2\t5\t881250950\n1\t267\t1\t881250900\n",
}
ML_1M = {
    "movies.dat": "1::Toy Story (1995)::Animation|Children's|Comedy\n2::Misérables, Les (1995)::Drama\n",
    "users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
    "ratings.dat": "1::2::5::978300760\n1::1::3::978302109\n2::1::4::978301968\n",
}
LATEST = {
    "movies.csv": (
        "movieId,title,genres\n1,Toy Story (1995),Adventure|Animation\n"
        '11,"American President, The (1995)",Comedy\n171631,"Pokémon ""Two"" ",(no genres listed)\n'
        "3,Babylon 5 (1994-1998),Sci-Fi\n"
    ),
    "ratings.csv": "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,11,3.5,964981247\n7,3,0.5,96498\n",
    "links.csv": "movieId,imdbId,tmdbId\n1,0114709,862\n",
    "tags.csv": "userId,movieId,tag,timestamp\n2,60756,funny,1445714994\n",
}


def _write(folder: Path, files: dict[str, str], encoding: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_bytes(text.encode(encoding))
    return folder


def test_100k(tmp_path: Path) -> None:
    done = import_movielens(_write(tmp_path / "ml-100k", ML_100K, "latin-1"), tmp_path / "out")
    assert (done.items, done.users, done.events) == (3, 2, 3)
    data = read_dataset(done.out, min_rating=0)
    assert data.catalogue.item_ids == ("1", "2", "267")
    assert data.catalogue.titles == ("Toy Story (1995)", "Misérables, Les (1995)", "unknown")
    assert data.catalogue.attributes == {
        "year": ("1995", "1995", ""),
        "genres": ("Animation|Comedy", "Drama", ""),
    }
    assert data.interactions.user_ids == ("2", "1")
    assert data.interactions.history(1).tolist() == [2, 1]
    assert data.interactions.times_E.tolist() == [881250949, 881250900, 881250950]
    users = read_table(done.out / "users.parquet")
    assert users.text("occupation").to_pylist() == ["technician", "other"]


def test_1m(tmp_path: Path) -> None:
    done = import_movielens(_write(tmp_path / "ml-1m", ML_1M, "latin-1"), tmp_path / "out", table_format="csv")
    assert (done.items, done.users, done.events) == (2, 2, 3)
    data = read_dataset(done.out, min_rating=0)
    assert data.catalogue.titles == ("Toy Story (1995)", "Misérables, Les (1995)")
    assert data.catalogue.attributes["genres"] == ("Animation|Children's|Comedy", "Drama")
    assert data.interactions.ratings_E is not None
    assert data.interactions.ratings_E.tolist() == [5.0, 3.0, 4.0]
    users = read_table(done.out / "users.csv")
    assert users.text("age").to_pylist() == ["under 18", "56+"]
    assert users.text("occupation").to_pylist() == ["K-12 student", "self-employed"]


def test_latest_from_the_zip_as_downloaded(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ml-latest-small.zip", "w") as archive:
        archive.writestr("ml-latest-small/", "")
        for name, text in LATEST.items():
            archive.writestr(f"ml-latest-small/{name}", text)
            archive.writestr(f"__MACOSX/ml-latest-small/{name}", b"\0")
    done = import_movielens(tmp_path / "ml-latest-small.zip", tmp_path / "out")
    assert (done.items, done.users, done.events) == (4, 2, 3)
    catalogue = read_dataset(done.out, min_rating=0).catalogue
    assert catalogue.titles[1:3] == ("American President, The (1995)", 'Pokémon "Two"')
    assert catalogue.attributes["year"] == ("1995", "1995", "", "1994")
    assert catalogue.attributes["genres"] == ("Adventure|Animation", "Comedy", "", "Sci-Fi")


def test_the_folder_above_the_release(tmp_path: Path) -> None:
    _write(tmp_path / "download" / "ml-1m", ML_1M, "latin-1")
    assert import_movielens(tmp_path / "download", tmp_path / "out").events == 3


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    extra = {
        "u.item": ML_100K["u.item"] + f"2|Again (1995)|||||{_flags('Drama')}\n".replace("|||||", "||||"),
        "u.data": ML_100K["u.data"] + "2\t999\t3\t881250949\n\t1\t3\t881250949\n",
        "u1.base": "1\t1\t1\t1\n",
    }
    done = import_movielens(_write(tmp_path / "ml-100k", {**ML_100K, **extra}, "latin-1"), tmp_path / "out")
    assert (done.items, done.events, done.dropped) == (3, 3, 3)
    assert [(entry.kind, entry.what, entry.count, entry.example) for entry in done.left_out] == [
        ("row", "films whose id was there before", 1, "'2' at u.item:4"),
        ("row", "ratings without a user or a film", 1, "'1' in u.data"),
        ("row", "ratings of films that are not in the list", 1, "'999' in u.data"),
        ("column", "u.item: release date", 2, "'01-Jan-1995' at u.item:1"),
        ("column", "u.item: IMDb URL", 2, "'http://us.imdb.com/M/title-exact?Toy%20Story' at u.item:1"),
        ("column", "u.user: zip code", 2, "'85711' at u.user:1"),
        ("file", "u1.base", 1, ""),
    ]
    assert done.notes[-1] == "left out files: u1.base"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("u.data", "9\t999\t5\t881250949\n", "u.data has no ratings of films .left out 1 row: ratings of films that"),
        ("u.data", "1\t2\t5\n", "u.data:1: the row has 3 fields instead of 4"),
        ("u.data", "1\t2\tfive\t881250949\n", "u.data has a rating or timestamp that is not a number"),
        ("u.item", "1|Toy Story (1995)\n", "u.item:1: the row has 2 fields instead of 24"),
        ("u.item", "\n", "u.item in .* has no films"),
    ],
)
def test_a_damaged_release_leaves_nothing_behind(tmp_path: Path, name: str, text: str, message: str) -> None:
    source = _write(tmp_path / "ml-100k", {**ML_100K, name: text}, "latin-1")
    with pytest.raises(InvalidDatasetError, match=message):
        import_movielens(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["ml-100k"]


def test_what_is_no_release(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "some.zip").write_bytes(b"no")
    with pytest.raises(InvalidDatasetError, match="no MovieLens release"):
        import_movielens(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(InvalidDatasetError, match="no zip archive"):
        import_movielens(tmp_path / "some.zip", tmp_path / "out")
    with pytest.raises(NotFoundError):
        import_movielens(tmp_path / "nowhere", tmp_path / "out")


def test_a_damaged_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ml.zip", "w") as archive:
        for name, text in LATEST.items():
            archive.writestr(name, text)
    data = (tmp_path / "ml.zip").read_bytes()
    for old, new in ((b"964982703", b"964982704"), (b"Babylon", b"BABYLON")):
        (tmp_path / "ml.zip").write_bytes(data.replace(old, new))
        with pytest.raises(InvalidDatasetError, match="damaged; download it again"):
            import_movielens(tmp_path / "ml.zip", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["ml.zip"]
