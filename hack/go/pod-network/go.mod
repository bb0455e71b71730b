module shimmy.dev/hack/pod-network

go 1.24
