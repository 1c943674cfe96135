//go:build race

package otelmfa_test

// raceDetector is on: pools lose what they hold now and then.
const raceDetector = true
