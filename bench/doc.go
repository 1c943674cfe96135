// Package bench measures echomfa beside its peers: each figure is a ratio, with
// the peer in the same run and the passes interleaved. Run it by `make bench`.
// The tables of docs/performance.md are made from its output.
package bench
