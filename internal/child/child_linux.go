package child

import (
	"os/exec"
	"syscall"
)

// EndWithParent has the kernel send a process the signal when the one that starts it ends,
// however that comes about: a test that is killed runs no Cleanup.
func EndWithParent(cmd *exec.Cmd, signal syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = signal
}
