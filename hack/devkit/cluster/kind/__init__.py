"""The same cluster on kind, where Docker runs: `hack/cluster up --kind`."""
