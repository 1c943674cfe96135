package redisstore_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/storetest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// faults do to the data of one test on a server what can happen to a server.
func faults(addr string) storetest.Faults {
	mine := func(t *testing.T, c rueidis.Client) (keys []string) {
		t.Helper()
		for _, key := range keysOf(t, c) {
			if strings.HasPrefix(key, prefixOf(t)+":v2:") {
				keys = append(keys, key)
			}
		}
		return keys
	}
	// All at once, as a failover is.
	replace := func(t *testing.T, c rueidis.Client, dumps map[string][2]string) {
		t.Helper()
		var script strings.Builder
		var keys, args []string
		for _, key := range mine(t, c) {
			keys = append(keys, key)
			script.WriteString("redis.call('DEL', KEYS[" + strconv.Itoa(len(keys)) + "])\n")
		}
		for key, dump := range dumps {
			keys, args = append(keys, key), append(args, dump[0], dump[1])
			script.WriteString("redis.call('RESTORE', KEYS[" + strconv.Itoa(len(keys)) + "], ARGV[" + strconv.Itoa(len(args)-1) + "], ARGV[" + strconv.Itoa(len(args)) + "], 'REPLACE')\n")
		}
		if len(keys) == 0 {
			return
		}
		words := append([]string{"EVAL", "#!lua flags=allow-cross-slot-keys\n" + script.String(), strconv.Itoa(len(keys))}, append(keys, args...)...)
		command(t, c, words...)
	}
	return storetest.Faults{
		Lose: func(t *testing.T) { t.Helper(); replace(t, rawClient(t, addr), nil) },
		Back: func(t *testing.T) func() {
			t.Helper()
			c, dumps := rawClient(t, addr), make(map[string][2]string)
			for _, key := range mine(t, c) {
				dump, err := command(t, c, "DUMP", key).ToString()
				require.NoError(t, err)
				dumps[key] = [2]string{"60000", dump}
			}
			return func() { replace(t, c, dumps) }
		},
		Trim: func(t *testing.T) {
			t.Helper()
			command(t, rawClient(t, addr), "XTRIM", logOf(prefixOf(t)), "MAXLEN", "0")
		},
	}
}

// logOf is the key of an app's log.
func logOf(prefix string) string { return prefix + ":v2:{" + prefix + ":log}:e" }
