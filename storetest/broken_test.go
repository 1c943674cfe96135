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
	done    *sync.Map // of the Store's own
	get     func(b *broken, ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error)
	set     func(b *broken, ctx context.Context, facts echomfa.StoredFacts, v echomfa.StoreVersion, keep time.Duration) error
	del     func(b *broken, ctx context.Context, key, user echomfa.StoreKey) error
	delUser func(b *broken, ctx context.Context, user echomfa.StoreKey) error
	watch   func(b *broken, ctx context.Context, hear func(echomfa.StoreEvent)) error
	take    func(b *broken, ctx context.Context, name echomfa.StoreKey, limit int, per time.Duration) (bool, error)
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

func (b *broken) Take(ctx context.Context, name echomfa.StoreKey, limit int, per time.Duration) (bool, error) {
	if b.take != nil {
		return b.take(b, ctx, name, limit, per)
	}
	return b.Memory.Take(ctx, name, limit, per)
}

// without is a Watch that keeps to itself what drop says.
func without(drop func(echomfa.StoreEvent) bool) func(*broken, context.Context, func(echomfa.StoreEvent)) error {
	return func(b *broken, ctx context.Context, hear func(echomfa.StoreEvent)) error {
		return b.Memory.Watch(ctx, func(event echomfa.StoreEvent) {
			if !drop(event) {
				hear(event)
			}
		})
	}
}

func of(kind echomfa.StoreEventKind) func(echomfa.StoreEvent) bool {
	return func(event echomfa.StoreEvent) bool { return event.Kind == kind }
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
		"rounds to the millisecond": {"a_list_comes_back_whole", broken{
			set: func(b *broken, ctx context.Context, facts echomfa.StoredFacts, v echomfa.StoreVersion, keep time.Duration) error {
				facts.Asked = facts.Asked.Truncate(time.Millisecond)
				return b.Memory.Set(ctx, facts, v, keep)
			},
		}},
		"loses types": {"a_list_comes_back_whole", broken{
			set: func(b *broken, ctx context.Context, facts echomfa.StoredFacts, v echomfa.StoreVersion, keep time.Duration) error {
				facts.Types = facts.Types[:min(len(facts.Types), 32)]
				return b.Memory.Set(ctx, facts, v, keep)
			},
		}},
		"not found is an error": {"not_found_is_not_an_error", broken{
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
		"does not look where the log ends":    {"a_history_that_was_set_back_is_told", broken{watch: without(of(echomfa.Rewound))}},
		"does not look for its own":           {"a_loss_of_what_was_not_heard_yet_is_told_to_its_author", broken{watch: without(of(echomfa.Rewound))}},
		"does not look what an entry follows": {"a_history_that_goes_on_from_before_is_told", broken{watch: without(of(echomfa.Rewound))}},
		"says nothing of a lost history": {"a_lost_history_is_told", broken{
			watch: func(b *broken, ctx context.Context, hear func(echomfa.StoreEvent)) error {
				return b.Memory.Watch(ctx, func(event echomfa.StoreEvent) {
					if event.Kind == echomfa.Rewound {
						event.Kind = echomfa.Resumed
					}
					hear(event)
				})
			},
		}},
		"goes on from its old place after a rewind": {"a_history_that_was_set_back_is_told", broken{
			watch: func(b *broken, ctx context.Context, hear func(echomfa.StoreEvent)) error {
				heard, skip := 0, 0
				return b.Memory.Watch(ctx, func(event echomfa.StoreEvent) {
					switch {
					case event.Kind == echomfa.Rewound:
						skip = heard
					case event.Kind == echomfa.Invalidated && skip > 0:
						skip--
						return
					case event.Kind == echomfa.Invalidated:
						heard++
					}
					hear(event)
				})
			},
		}},
		"tells an invalidation once": {"a_lost_history_is_told", broken{
			del: func(b *broken, ctx context.Context, key, user echomfa.StoreKey) error {
				if _, before := b.done.LoadOrStore(key, true); before {
					return nil
				}
				return b.Memory.Delete(ctx, key, user)
			},
		}},
		"moves on before it has told": {"Watch_says_that_it_hears", broken{
			watch: func(b *broken, ctx context.Context, hear func(echomfa.StoreEvent)) error {
				var late []echomfa.StoreEvent
				return b.Memory.Watch(ctx, func(event echomfa.StoreEvent) {
					if event.Kind == echomfa.Invalidated {
						late = append(late, event)
						return
					}
					hear(event)
					for _, event := range late {
						hear(event)
					}
					late = nil
				})
			},
		}},
		"says nothing of a gap": {"a_gap_is_told", broken{watch: without(of(echomfa.Resumed))}},
		"hears while it is away": {"a_Store_that_is_away_is_not_heard", broken{
			watch: func(b *broken, ctx context.Context, hear func(echomfa.StoreEvent)) error {
				return b.Memory.Watch(ctx, func(event echomfa.StoreEvent) {
					hear(event)
					hear(echomfa.StoreEvent{Kind: echomfa.Hearing})
				})
			},
		}},
		"says Rewound after each failure": {"a_Store_that_is_away_is_not_heard", broken{
			watch: func(b *broken, ctx context.Context, hear func(echomfa.StoreEvent)) error {
				return b.Memory.Watch(ctx, func(event echomfa.StoreEvent) {
					hear(event)
					if event.Kind == echomfa.Deaf {
						hear(echomfa.StoreEvent{Kind: echomfa.Rewound})
					}
				})
			},
		}},
		"begins with what comes": {"Watch_begins_with_what_was_before", broken{
			watch: func(b *broken, ctx context.Context, hear func(echomfa.StoreEvent)) error {
				begun := false
				return b.Memory.Watch(ctx, func(event echomfa.StoreEvent) {
					begun = begun || event.Kind == echomfa.Hearing
					if begun {
						hear(event)
					}
				})
			},
		}},
		"believes who comes last": {"an_older_list_replaces_no_newer_one", broken{
			get: func(b *broken, ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
				facts, found, v, err := b.Memory.Get(ctx, key, user)
				if asked, ok := b.done.Load(key); ok && found {
					facts.Asked, _ = asked.(time.Time)
				}
				return facts, found, v, err
			},
			set: func(b *broken, ctx context.Context, facts echomfa.StoredFacts, v echomfa.StoreVersion, keep time.Duration) error {
				b.done.Store(facts.Key, facts.Asked)
				facts.Asked = time.Now()
				return b.Memory.Set(ctx, facts, v, keep)
			},
		}},
		"counts without a limit": {"counts_are_shared", broken{
			take: func(*broken, context.Context, echomfa.StoreKey, int, time.Duration) (bool, error) { return true, nil },
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
	memoryOf := memories()
	var all sync.Map
	t.Run("suite", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, func(t *testing.T) echomfa.Store {
			t.Helper()
			s := row.store
			s.Memory, s.done = memoryOf(t), new(sync.Map)
			b, _ := all.LoadOrStore(t.Name(), &s)
			same, ok := b.(*broken)
			require.True(t, ok)
			return same
		}, faultsOf(memoryOf))
	})
}
