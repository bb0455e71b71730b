"""Removes every Debian package that the named ones do not need, from the root file system that it runs in.

What is left is what the image runs, and /var/lib/dpkg/status says exactly that to scanners. Run it last, from an
exec-form RUN: it removes the shell and dpkg too.

usage: prune.py PACKAGE... [--without PACKAGE...]   (--without: dependencies that only install scripts need)
"""

import re
import shutil
import sys
from pathlib import Path

DPKG = Path("/var/lib/dpkg")
EMPTIED = (
    "/var/lib/apt",
    "/var/cache",
    "/var/log",
    "/etc/apt",
    "/usr/share/doc",
    "/usr/share/man",
    "/usr/share/locale",
)


def paragraphs() -> dict[str, str]:
    """Every installed package's paragraph of the status file."""
    found = (text for text in (DPKG / "status").read_text().split("\n\n") if "\nStatus: install ok installed" in text)
    return {text.split("\n", 1)[0].removeprefix("Package: "): text for text in found}


def needs(paragraph: str) -> list[list[str]]:
    """The dependencies: each a list of alternatives."""
    lines = re.findall(r"^(?:Pre-)?Depends: (.*)$", paragraph, re.MULTILINE)
    return [
        [re.split(r"[ :(]", alternative.strip())[0] for alternative in clause.split("|")]
        for line in lines
        for clause in line.split(",")
    ]


def closure(wanted: list[str], without: set[str], installed: dict[str, str]) -> set[str]:
    """The wanted packages and all that they need."""
    provides = {
        virtual.strip().split(" ")[0]: name
        for name, text in installed.items()
        for line in re.findall(r"^Provides: (.*)$", text, re.MULTILINE)
        for virtual in line.split(",")
    }
    kept: set[str] = set()
    queue = list(wanted)
    while queue:
        name = queue.pop()
        name = name if name in installed else provides.get(name, name)
        if name in kept or name in without:
            continue
        if name not in installed:
            sys.exit(f"prune.py: package {name} is not installed")
        kept.add(name)
        for alternatives in needs(installed[name]):
            present = [a for a in alternatives if a in installed or a in provides or a in without]
            queue += present[:1]
    return kept


def files_of(package: str) -> set[str]:
    """The paths that a package owns."""
    lists = [*DPKG.glob(f"info/{package}.list"), *DPKG.glob(f"info/{package}:*.list")]
    # Since Debian 12 the packages' /bin, /lib and /sbin are links into /usr.
    return {
        re.sub(r"^/(bin|sbin|lib|lib64)/", r"/usr/\1/", line)
        for file in lists
        for line in file.read_text().splitlines()
    }


def main(arguments: list[str]) -> None:
    """Prune."""
    split = arguments.index("--without") if "--without" in arguments else len(arguments)
    installed = paragraphs()
    kept = closure(arguments[:split], set(arguments[split + 1 :]), installed)
    keep_files = set().union(*(files_of(package) for package in kept))
    for package in installed.keys() - kept:
        for name in files_of(package) - keep_files:
            path = Path(name)
            if path.is_symlink() or path.is_file():
                path.unlink()
    Path(__file__).unlink()
    (DPKG / "status").write_text("\n\n".join(installed[name].strip() for name in sorted(kept)) + "\n")
    for folder in DPKG.iterdir():
        if folder.name != "status":
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    for name in EMPTIED:
        for path in Path(name).iterdir() if Path(name).is_dir() else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
