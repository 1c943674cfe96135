package redisstore_test

import (
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// stages are the instances of a rotation: before, in between and after.
type stages struct{ before, between, after *redisstore.Store }

func newStages(t *testing.T, server *redistest.Server) stages {
	t.Helper()
	c := redisstore.Config{Redis: patient(server.Addr), Prefix: prefixOf(t)}
	of := func(secrets ...[]byte) *redisstore.Store {
		c.Secrets = secrets
		return newStore(t, c)
	}
	return stages{before: of(secretOf(1)), between: of(secretOf(2), secretOf(1)), after: of(secretOf(2))}
}

// TestRotationKeepsFacts: who has both secrets finds what either kind of
// instance has kept.
func TestRotationKeepsFacts(t *testing.T) {
	t.Parallel()
	all := newStages(t, redistest.New(t))
	for name, s := range map[string]echomfa.Store{"before": all.before, "between": all.between, "after": all.after} {
		facts := newFacts(echomfa.FactorType(name))
		keep(t, s, facts)
		assert.True(t, found(t, s, facts), name)
		assert.True(t, found(t, all.between, facts), name)
	}
	facts := newFacts()
	keep(t, all.before, facts)
	assert.False(t, found(t, all.after, facts), "the older secret is gone")
	keep(t, all.between, facts)
	assert.True(t, found(t, all.after, facts), "written under the newest")
}

// TestRotationInvalidates: nobody finds what an instance of this stage or the
// next one has invalidated, known to either of them.
func TestRotationInvalidates(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	for pair, pick := range map[string]func(stages) [2]echomfa.Store{
		"before and between": func(s stages) [2]echomfa.Store { return [2]echomfa.Store{s.before, s.between} },
		"between and after":  func(s stages) [2]echomfa.Store { return [2]echomfa.Store{s.between, s.after} },
	} {
		for way, do := range map[string]func(*testing.T, echomfa.Store, echomfa.StoredFacts) error{
			"Delete": func(t *testing.T, s echomfa.Store, facts echomfa.StoredFacts) error {
				t.Helper()
				return s.Delete(t.Context(), facts.Key, facts.User)
			},
			"DeleteUser": func(t *testing.T, s echomfa.Store, facts echomfa.StoredFacts) error {
				t.Helper()
				return s.DeleteUser(t.Context(), facts.User)
			},
		} {
			t.Run(pair+", "+way, func(t *testing.T) {
				t.Parallel()
				all := newStages(t, server)
				pair := pick(all)
				for i, invalidates := range pair {
					for j, writes := range pair {
						facts := newFacts()
						keep(t, all.before, facts) // by an instance that is gone since
						keep(t, writes, facts)
						_, _, inFlight, err := writes.Get(t.Context(), facts.Key, facts.User)
						require.NoError(t, err)
						require.NoError(t, do(t, invalidates, facts))
						require.NoError(t, writes.Set(t.Context(), facts, inFlight, time.Minute))
						for k, reads := range pair {
							assert.False(t, found(t, reads, facts), "invalidated by %d, kept by %d, read by %d", i, j, k)
						}
						keep(t, writes, facts)
						assert.True(t, found(t, writes, facts))
					}
				}
			})
		}
	}
}

// TestRotationIsHeard: instances of two stages that are next to each other hear
// each other, and those with both secrets hear once. Of those that they cannot read they hear
// that there is one.
func TestRotationIsHeard(t *testing.T) {
	t.Parallel()
	s := newStages(t, redistest.New(t))
	before, between, after := watch(t, s.before), watch(t, s.between), watch(t, s.after)
	keys := map[string]echomfa.StoreKey{"before": newKey(), "between": newKey(), "after": newKey()}
	for _, sent := range []struct {
		s  echomfa.Store
		by string
	}{{s.before, "before"}, {s.between, "between"}, {s.after, "after"}} {
		require.NoError(t, sent.s.Delete(t.Context(), keys[sent.by], echomfa.StoreKey{}))
	}
	end := newKey()
	require.NoError(t, s.between.DeleteUser(t.Context(), end))
	for name, row := range map[string]struct {
		heard <-chan echomfa.StoreEvent
		want  []string
	}{
		"before":  {before, []string{"before", "between", "unreadable"}},
		"between": {between, []string{"before", "between", "after"}},
		"after":   {after, []string{"unreadable", "between", "after"}},
	} {
		for _, want := range row.want {
			event := next(t, row.heard)
			if want == "unreadable" {
				assert.Equal(t, echomfa.Unreadable, event.Kind, name)
				continue
			}
			assert.Equal(t, echomfa.StoreEvent{Key: keys[want]}, event, "%s hears %s", name, want)
		}
		assert.Equal(t, echomfa.StoreEvent{User: end}, next(t, row.heard), name)
	}
}
