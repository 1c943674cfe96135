//go:build !race

package otelmfa_test

const raceDetector = false
