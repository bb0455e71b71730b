"""A real node on this machine: containerd, kubelet, kube-proxy and a NetworkPolicy firewall (Linux, root).

Everything of it lives in its own network namespace, cgroup and folders, so that the machine's own network, firewall
and containers are left as they are, and removing the node leaves nothing.
"""
