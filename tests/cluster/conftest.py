from devkit.testing import simulated_cluster as simulated_cluster
