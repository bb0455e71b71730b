"""`hack/bench faults`: what clients see when parts of the data plane die or are replaced under load."""
