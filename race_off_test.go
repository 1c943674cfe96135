//go:build !race

package echomfa_test

const raceDetector = false
