//go:build !siege

package main

import "time"

func testSize() size {
	return size{
		users: 100, requests: 600, perSecond: 600, freshFor: time.Minute,
		instances: []int{1, 4}, rounds: 4, most: 4,
		costs: costs{idle: time.Second, passes: 2, reads: 100},
		blips: blips{users: 20, perSecond: 40, lookups: 25, each: time.Second},
	}
}
