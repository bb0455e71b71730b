"""`hack/bench wake`: how long a request waits for a workload without a pod, here and in other projects."""
