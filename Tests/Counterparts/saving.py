"""The ways in which editors, scripts and clusters save a config file."""

import os
from pathlib import Path


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def by_rename(path: Path, text: str) -> None:
    """As most editors do."""
    new = path.with_name(path.name + ".new~")
    new.write_text(text)
    os.replace(new, path)


def by_rename_away(path: Path, text: str) -> None:
    """As vim does with a backup: the old file is moved away first, so that for a moment there is none."""
    os.rename(path, path.with_name(path.name + "~"))
    path.write_text(text)


def by_symlink(path: Path, text: str) -> None:
    """The file itself is a symbolic link into another directory, and is made to point elsewhere."""
    versions = path.parent / "versions"
    versions.mkdir(exist_ok=True)
    target = versions / f"{len(list(versions.iterdir()))}.json"
    target.write_text(text)
    link = path.with_name("link.new")
    link.symlink_to(target)
    os.replace(link, path)


def behind_symlink(path: Path, text: str) -> None:
    """The link stays, the file it points to, in another directory, is written."""
    if not path.is_symlink():
        by_symlink(path, text)
    else:
        path.resolve().write_text(text)


def as_kubernetes(path: Path, text: str) -> None:
    """The file is a link through `..data`, a link to a directory that is replaced as a whole; the old one is removed."""
    version = path.parent / f"..2024_{len(list(path.parent.glob('..2024_*')))}"
    version.mkdir()
    (version / path.name).write_text(text)
    data = path.parent / "..data"
    old = data.resolve() if data.is_symlink() else None
    fresh = path.parent / "..data_tmp"
    fresh.symlink_to(version.name)
    os.replace(fresh, data)
    target = Path("..data") / path.name
    if not path.is_symlink() or path.readlink() != target:
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    if old is not None:
        (old / path.name).unlink()


WAYS = [in_place, by_rename, by_rename_away, by_symlink, behind_symlink, as_kubernetes]
