"""Command line of `hack/images`."""

import argparse
import sys
from pathlib import Path

from devkit import cluster, shimmy_build
from devkit.images.build import build
from devkit.images.builder import ImageError
from devkit.images.catalogue import CATALOGUE
from devkit.paths import clusters


def main() -> None:
    """Build images; the archives' paths go to standard output, all else to standard error."""
    parser = argparse.ArgumentParser(
        prog="hack/images",
        description="Builds the container images into archives in the user's cache, each with a bill of materials "
        "beside it. Prints the archives' paths. What is up to date is not built again.",
        epilog="SHIMMY_BASE_IMAGE names the Debian 13 image to build on; by default a public one, or where none can "
        "be pulled one that debootstrap assembles (root).",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(CATALOGUE)} (default: all)")
    parser.add_argument("--load", metavar="CLUSTER", help="load them into a cluster of hack/cluster with a real node")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - CATALOGUE.keys():
        parser.error(f"no image {', '.join(sorted(unknown))}; there are {', '.join(CATALOGUE)}")
    try:
        archives = [built.archive for built in build(arguments.names or CATALOGUE)]
        if arguments.load:
            cluster.Cluster.open(clusters() / arguments.load).load(archives)
    except (ImageError, shimmy_build.BuildError, cluster.ClusterError) as error:
        sys.exit(f"hack/images: {error}")
    print(*(Path(archive) for archive in archives), sep="\n")


if __name__ == "__main__":
    main()
