package storetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/storetest"
)

// broken is a Store that does one thing wrong. What is not set is right.
type broken struct {
	*storetest.Memory
	get     func(b *broken, ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error)
	set     func(b *broken, ctx context.Context, facts echomfa.StoredFacts, v echomfa.StoreVersion, keep time.Duration) error
	del     func(b *broken, ctx context.Context, key, user echomfa.StoreKey) error
	delUser func(b *broken, ctx context.Context, user echomfa.StoreKey) error
	watch   func(b *broken, ctx context.Context, hear func(echomfa.StoreEvent)) error
}

func (b *broken) Get(ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
	if b.get != nil {
		return b.get(b, ctx, key, user)
	}
	return b.Memory.Get(ctx, key, user)
}

func (b *broken) Set(ctx context.Context, facts echomfa.StoredFacts, v echomfa.StoreVersion, keep time.Duration) error {
	if b.set != nil {
		return b.set(b, ctx, facts, v, keep)
	}
	return b.Memory.Set(ctx, facts, v, keep)
}

func (b *broken) Delete(ctx context.Context, key, user echomfa.StoreKey) error {
	if b.del != nil {
		return b.del(b, ctx, key, user)
	}
	return b.Memory.Delete(ctx, key, user)
}

func (b *broken) DeleteUser(ctx context.Context, user echomfa.StoreKey) error {
	if b.delUser != nil {
		return b.delUser(b, ctx, user)
	}
	return b.Memory.DeleteUser(ctx, user)
}

func (b *broken) Watch(ctx context.Context, hear func(echomfa.StoreEvent)) error {
	if b.watch != nil {
		return b.watch(b, ctx, hear)
	}
	return b.Memory.Watch(ctx, hear)
}

// row is a mistake, and a test of the suite that must notice it.
type row struct {
	noticed string
	store   broken
}

func rows() map[string]row {
	return map[string]row{
		"ignores versions": {"a_Set_from_before_is_dropped", broken{
			set: func(b *broken, ctx context.Context, facts echomfa.StoredFacts, _ echomfa.StoreVersion, keep time.Duration) error {
				_, _, current, err := b.Memory.Get(ctx, facts.Key, facts.User)
				return errors.Join(err, b.Memory.Set(ctx, facts, current, keep))
			},
		}},
		"mixes keys": {"keys_are_apart", broken{
			get: func(b *broken, ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
				key[31] = 0
				return b.Memory.Get(ctx, key, user)
			},
			set: func(b *broken, ctx context.Context, facts echomfa.StoredFacts, v echomfa.StoreVersion, keep time.Duration) error {
				facts.Key[31] = 0
				return b.Memory.Set(ctx, facts, v, keep)
			},
		}},
		"drops every Set after a Delete": {"a_Set_from_after_is_kept", broken{
			get: func(b *broken, ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
				facts, found, _, err := b.Memory.Get(ctx, key, user)
				return facts, found, "0,0", err
			},
		}},
		"keeps for ever": {"keep_ends", broken{
			set: func(b *broken, ctx context.Context, facts echomfa.StoredFacts, v echomfa.StoreVersion, _ time.Duration) error {
				return b.Memory.Set(ctx, facts, v, time.Hour)
			},
		}},
		"rounds to the millisecond": {"facts_come_back_whole", broken{
			set: func(b *broken, ctx context.Context, facts echomfa.StoredFacts, v echomfa.StoreVersion, keep time.Duration) error {
				facts.Asked = facts.Asked.Truncate(time.Millisecond)
				return b.Memory.Set(ctx, facts, v, keep)
			},
		}},
		"loses types": {"facts_come_back_whole", broken{
			set: func(b *broken, ctx context.Context, facts echomfa.StoredFacts, v echomfa.StoreVersion, keep time.Duration) error {
				facts.Types = facts.Types[:min(len(facts.Types), 32)]
				return b.Memory.Set(ctx, facts, v, keep)
			},
		}},
		"not found is an error": {"nothing_is_no_error", broken{
			get: func(b *broken, ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
				facts, found, v, err := b.Memory.Get(ctx, key, user)
				if !found && err == nil {
					err = errors.New("not found")
				}
				return facts, found, v, err
			},
		}},
		"DeleteUser does nothing": {"DeleteUser_forgets_all_of_a_user", broken{
			delUser: func(*broken, context.Context, echomfa.StoreKey) error { return nil },
		}},
		"Delete forgets the whole user": {"Delete_forgets_one_token", broken{
			del: func(b *broken, ctx context.Context, key, user echomfa.StoreKey) error {
				return errors.Join(b.Memory.DeleteUser(ctx, user), b.Memory.Delete(ctx, key, user))
			},
		}},
		"is told twice": {"Watch_hears_in_order", broken{
			watch: func(b *broken, ctx context.Context, hear func(echomfa.StoreEvent)) error {
				return b.Memory.Watch(ctx, func(event echomfa.StoreEvent) { hear(event); hear(event) })
			},
		}},
		"Watch returns the error of ctx": {"Watch_ends_with_ctx", broken{
			watch: func(b *broken, ctx context.Context, hear func(echomfa.StoreEvent)) error {
				return errors.Join(b.Memory.Watch(ctx, hear), ctx.Err())
			},
		}},
		"ignores ctx": {"an_ended_ctx_is_an_error", broken{
			get: func(b *broken, ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
				return b.Memory.Get(context.WithoutCancel(ctx), key, user)
			},
		}},
	}
}

// chosen names the row that a process started by TestSuiteNoticesMistakes runs.
const chosen = "STORETEST_BROKEN_STORE"

// TestSuiteNoticesMistakes runs the suite on stores that are wrong, each in a
// process of its own, because a test that fails there is what is wanted.
func TestSuiteNoticesMistakes(t *testing.T) {
	t.Parallel()
	for name, row := range rows() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := exec.CommandContext(t.Context(), os.Args[0],
				"-test.run=^TestBrokenStore$/^suite$/^"+row.noticed+"$", "-test.v", "-test.timeout=1m")
			run.Env = append(os.Environ(), chosen+"="+name)
			out, err := run.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", out)
			assert.Contains(t, string(out), "--- FAIL: TestBrokenStore/suite/"+row.noticed)
			assert.NotContains(t, string(out), "panic")
		})
	}
}

func TestBrokenStore(t *testing.T) {
	t.Parallel()
	row, found := rows()[os.Getenv(chosen)]
	if !found {
		t.Skip("run by TestSuiteNoticesMistakes")
	}
	of := memories()
	var all sync.Map
	t.Run("suite", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) echomfa.Store {
			t.Helper()
			s := row.store
			s.Memory = of(t)
			b, _ := all.LoadOrStore(t.Name(), &s)
			same, ok := b.(*broken)
			require.True(t, ok)
			return same
		})
	})
}
