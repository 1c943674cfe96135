package redisstore_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fleet is an app on a topology, of several processes, and what it did.
type fleet struct {
	t         *testing.T
	on        *topology
	prefix    string
	gap       time.Duration // between two changes
	lasts     time.Duration // a play, at least
	instances []*instance
	authors   []*instance // all, if nothing else is said
	changes   sync.WaitGroup
	number    int // of changes

	mu         sync.Mutex
	told       int       // invalidations that returned nil
	refused    int       // that returned an error
	err        string    // the first of them
	excuse     time.Time // until then nothing is promised
	authorGone bool      // and nobody sends its invalidations again
	wrong      int       // decisions that let a user in against the promise
	unheard    int       // that did so although two rounds of listening have begun and succeeded since nil
	slowest    time.Duration
	longest    time.Duration // after nil, whatever is promised
	stillLet   []string
	silent     []string // could not say, a minute after nil: a 503
}

// newFleet starts instances, and waits until all hear.
func newFleet(t *testing.T, n *topology, size int, change ...func(*setup)) *fleet {
	t.Helper()
	f := &fleet{t: t, on: n, prefix: prefixOf(t), gap: 200 * time.Millisecond, lasts: time.Second}
	for i := range size {
		c := n.setup
		c.Name, c.Prefix = "instance-"+itoa(i), f.prefix
		for _, change := range change {
			change(&c)
		}
		f.instances = append(f.instances, startInstance(t, c))
	}
	f.authors = f.instances
	for _, i := range f.instances {
		eventually(t, func() bool {
			a, ok := i.do("look", "")
			return ok && a.Heard > 0 && !a.Out
		}, "it does not hear")
	}
	return f
}

// running returns the instances that were not killed.
func (f *fleet) running() (all []*instance) {
	for _, i := range f.instances {
		select {
		case <-i.gone:
		default:
			all = append(all, i)
		}
	}
	return all
}

// all has each instance do something, at once.
func (f *fleet) all(what, token string) {
	var wg sync.WaitGroup
	for _, i := range f.running() {
		wg.Go(func() { i.do(what, token) })
	}
	wg.Wait()
}

// change removes a factor that all instances know of, by one of them, and watches until all
// refuse. Both go on by themselves.
func (f *fleet) change(author *instance) {
	f.number++
	token := fmt.Sprintf("token-%d-of-%s", f.number, f.prefix) // of characters that a token may have
	f.changes.Go(func() {
		f.all("enroll", token)
		f.all("decide", token)
		f.all("remove", token)
		a, ok := author.do("invalidate", token)
		told := time.Now()
		if !ok {
			return
		}
		f.mu.Lock()
		if a.Err == "" {
			f.told++
		} else if f.refused++; f.err == "" {
			f.err = a.Err
		}
		f.mu.Unlock()
		for _, i := range f.running() {
			f.changes.Go(func() { f.follow(token, a.Err == "", told, i, author) })
		}
	})
}

// follow asks an instance until it refuses. A decision is held against the promise by when
// it began, and by how often the instance had heard before.
func (f *fleet) follow(token string, promised bool, told time.Time, i, author *instance) {
	var first, last answer
	for n := 0; time.Since(told) < patience; n++ {
		begun := time.Now()
		a, ok := i.do("decide", token)
		if !ok {
			return
		}
		if last = a; n == 0 {
			first = a
		}
		f.mu.Lock()
		since := told // when the promise begins
		for _, later := range []time.Time{i.outSince(), author.outSince(), f.excuse} {
			if later.After(since) {
				since = later
			}
		}
		switch {
		case a.Refused:
			if promised {
				f.slowest = max(f.slowest, begun.Sub(since))
			}
		case !a.Allowed: // it cannot say
		case promised && begun.Sub(since) > time.Second && !f.authorGone:
			f.wrong++
		}
		if a.Allowed && promised {
			f.longest = max(f.longest, begun.Sub(told))
			if !a.Out && a.Heard >= first.Heard+3 {
				f.unheard++
			}
		}
		f.mu.Unlock()
		if a.Refused {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	its, _ := i.do("look", "")
	authors, _ := author.do("look", "")
	text := fmt.Sprintf("%s %s (Invalidate returned nil: %v) %s; it: %s; the author: %s", i.name, token, promised, last.Err, its.Stats, authors.Stats)
	f.mu.Lock()
	defer f.mu.Unlock()
	if last.Allowed {
		f.stillLet = append(f.stillLet, text)
	} else {
		f.silent = append(f.silent, text)
	}
}

// play changes a factor now and then, by each author in turn, for as long as something
// happens and for a while. Then it waits until all refuse, also where Invalidate has
// returned an error.
func (f *fleet) play(happen func()) {
	f.t.Helper()
	over := make(chan struct{})
	var ticks sync.WaitGroup
	ticks.Go(func() {
		ticker := time.NewTicker(f.gap)
		defer ticker.Stop()
		for n := 0; ; n++ {
			f.change(f.authors[n%len(f.authors)])
			select {
			case <-ticker.C:
			case <-over:
				return
			}
		}
	})
	least := time.After(f.lasts)
	happen()
	<-least
	close(over)
	ticks.Wait()
	f.changes.Wait()
}

// holds sees that everybody has heard in the end.
func (f *fleet) holds() {
	f.t.Helper()
	f.t.Logf("%d nil, %d errors, slowest %v, longest %v after nil", f.told, f.refused, f.slowest, f.longest)
	if len(f.silent) > 0 {
		f.t.Log("cannot say:", f.silent)
	}
	require.NotZero(f.t, f.told, f.err)
	require.Empty(f.t, f.stillLet, "let in for good")
}
