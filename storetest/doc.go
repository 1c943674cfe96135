// Package storetest tests implementations of [echomfa.Store], and has one in
// memory.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) echomfa.Store {
//			return newMyStore(t, t.Name()) // data apart for each test
//		})
//	}
//
// [Run] is what package redisstore is tested with. [NewMemory] is a reference,
// for tests of several Enforcers in one process.
//
// The package uses the standard library only.
package storetest
