package redisstore_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/echomfa/echomfa/redisstore"
)

// portalStore takes 32 random bytes, as openssl rand -base64 32 makes them.
func portalStore(secret []byte, password string) (*redisstore.Store, error) {
	return redisstore.New(redisstore.Config{
		Redis: rueidis.ClientOption{
			InitAddress: []string{"redis.internal:6379"},
			Username:    "portal",
			Password:    password,
			TLSConfig:   &tls.Config{MinVersion: tls.VersionTLS12},
		},
		Secrets: [][]byte{secret},
		Prefix:  "portal",
	})
}

// A Store needs no Redis to begin with.
func Example() {
	store, err := portalStore(bytes.Repeat([]byte("s"), 32), "password")
	fmt.Println(errors.Join(err, store.Close()))
	// Output: <nil>
}

// A new secret first reads and writes beside the old one.
func ExampleConfig_rotation() {
	fresh, old := bytes.Repeat([]byte("n"), 32), bytes.Repeat([]byte("o"), 32)
	store, err := redisstore.New(redisstore.Config{
		Redis:   rueidis.ClientOption{InitAddress: []string{"redis.internal:6379"}},
		Secrets: [][]byte{fresh, old}, // newest first
	})
	fmt.Println(errors.Join(err, store.Close()))
	// Output: <nil>
}

// All mistakes are named at once.
func ExampleNew_incorrect() {
	_, err := redisstore.New(redisstore.Config{Secrets: [][]byte{[]byte("a password")}})
	fmt.Println(err)
	// Output:
	// redisstore: Redis: InitAddress: required, host:port at least once
	// redisstore: Secrets[0]: 10 bytes are too few, there must be at least 32
}
