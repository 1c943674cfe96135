// Echomfa checks, explains, compares and tests files of MFA rules: docs/rules.md shows how.
package main

import (
	"context"
	"os"

	"github.com/echomfa/echomfa/rules/internal/cli"
)

func main() { os.Exit(cli.Run(context.Background(), os.Args[1:], cli.System())) }
