module shimmy.dev/hack/tools

go 1.24
