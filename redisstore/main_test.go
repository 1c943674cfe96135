package redisstore_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if raw := os.Getenv(instanceEnv); raw != "" {
		os.Exit(runInstance(raw))
	}
	goleak.VerifyTestMain(m,
		// Closed or not, a client of rueidis puts off looking at the topology of a
		// cluster for up to a second after it has lost a connection.
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
	)
}
