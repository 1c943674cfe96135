//go:build !siege

package integration_test

import "time"

// How much of what a longer run shows better. `make siege` has more of the same:
// see siege_test.go.
const (
	floodFor   = 2 * time.Second
	isolations = 20_000
	removals   = 10
	flaps      = 3
	addresses  = 7 // of so many, one
)
