package redisstore

import (
	"context"
	"sync/atomic"

	"github.com/redis/rueidis"
)

// script is one in Lua. Redis names it by SHA-1, which builds for FIPS do not have, so
// that Redis computes it: by the node that has the keys, since SCRIPT LOAD names no key
// and goes to any node of a cluster, one that is dead among them.
type script struct {
	text string
	name atomic.Pointer[string] // nil until it is known
}

const nameScript = "return redis.sha1hex(ARGV[1])"

func newScript(text string) *script { return &script{text: text} }

func (c *script) exec(ctx context.Context, client rueidis.Client, keys, args []string) rueidis.RedisResult {
	name := c.name.Load()
	if name == nil {
		text, err := client.Do(ctx, client.B().Eval().Script(nameScript).Numkeys(1).Key(keys[0]).Arg(c.text).Build()).ToString()
		if err != nil {
			return rueidis.NewErrorResult(err)
		}
		name = &text
		c.name.Store(name)
	}
	n := int64(len(keys))
	result := client.Do(ctx, client.B().Evalsha().Sha1(*name).Numkeys(n).Key(keys...).Arg(args...).Build())
	if err, ok := rueidis.IsRedisErr(result.Error()); !ok || !err.IsNoScript() {
		return result
	}
	return client.Do(ctx, client.B().Eval().Script(c.text).Numkeys(n).Key(keys...).Arg(args...).Build())
}
