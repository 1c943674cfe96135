//go:build siege

package integration_test

import "time"

const (
	floodFor   = 3 * time.Minute
	isolations = 1_000_000
	removals   = 200
	flaps      = 50
	addresses  = 1
)
