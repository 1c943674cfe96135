//go:build !siege

package integration_test

import "time"

// How much of what a longer run shows better. `make siege` has more of the same:
// see siege_test.go.
const (
	floodFor   = time.Second
	isolations = 10_000
	removals   = 6
	flaps      = 1
	addresses  = 30 // of so many, one
)
