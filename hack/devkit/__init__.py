"""Tools for developing the Shimmy operator: development clusters, binaries, images, generators."""
