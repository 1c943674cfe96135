//go:build siege

package main

import "time"

// testSize is of more traffic, for which the machine must have the time. Under the
// race detector a moment is long.
func testSize() size {
	return size{
		users: 300, requests: 3_000, perSecond: 750, freshFor: time.Minute,
		instances: []int{1, 4}, rounds: 25, most: 1.2, retries: 3,
		costs: costs{idle: time.Second, passes: 2, reads: 100},
		blips: blips{users: 600, perSecond: 100, lookups: 5, each: 20 * time.Second, judged: true},
	}
}
