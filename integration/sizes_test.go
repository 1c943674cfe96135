//go:build !siege

package integration_test

import "time"

// How much of what a longer run shows better. `make siege` has more of the same:
// see siege_test.go.
const (
	floodFor   = time.Second
	isolations = 10_000
	removals   = 6
	flaps      = 2
	addresses  = 15 // of so many, one
)
