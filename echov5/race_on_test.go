//go:build race

package echov5_test

// raceDetector says that tests run under the race detector, where a sync.Pool
// forgets at random what it is given.
const raceDetector = true
