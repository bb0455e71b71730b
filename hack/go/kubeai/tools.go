//go:build tools

package tools

import _ "github.com/substratusai/kubeai/cmd"
