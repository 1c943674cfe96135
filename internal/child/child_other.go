//go:build !linux

package child

import (
	"os/exec"
	"syscall"
)

// EndWithParent does nothing on this system, which cannot do it.
func EndWithParent(*exec.Cmd, syscall.Signal) {}
