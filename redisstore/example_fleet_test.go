package redisstore_test

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/redis/rueidis"

	"github.com/echomfa/echomfa/redisstore"
)

// newInstance is called by each instance, with the same secret: 32 random bytes.
func newInstance(genauth *client.Client, redis string, secret []byte) (*echomfa.Enforcer, *redisstore.Store, error) {
	const (
		callsPerSecond = 100 // of GenAuth's limit, for all instances
		instances      = 4
	)
	store, err := redisstore.New(redisstore.Config{
		Redis:   rueidis.ClientOption{InitAddress: []string{redis}},
		Secrets: [][]byte{secret},
		Prefix:  "portal",
	})
	if err != nil {
		return nil, nil, err
	}
	mfa, err := echomfa.New(echomfa.Config{
		Client: genauth,
		Cache:  echomfa.CacheConfig{Store: store},
		Lookup: echomfa.LookupConfig{MaxPerSecond: callsPerSecond / instances},
	})
	return mfa, store, err
}

// An instance of several starts without Redis too. At its end it closes the
// Enforcer first.
func Example_severalInstances() {
	genauth, err := client.New(client.Config{BaseURL: "https://northwind.example", AppID: "65a1b2c3d4e5f60718293a4b"})
	if err != nil {
		panic(err)
	}
	mfa, store, err := newInstance(genauth, "127.0.0.1:1", bytes.Repeat([]byte("s"), 32))
	if err != nil {
		panic(err)
	}
	fmt.Println(errors.Join(mfa.Close(), store.Close()))
	// Output: <nil>
}
