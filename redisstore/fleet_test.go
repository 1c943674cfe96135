package redisstore_test

import (
	"fmt"
	"sync"
	"sync/atomic"
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
	grace     time.Duration // before it matters whether all have heard
	instances []*instance
	authors   []*instance // all, if nothing else is said
	changes   sync.WaitGroup
	telling   sync.WaitGroup // those that are not invalidated yet
	asking    atomic.Int64   // who asks until it is refused
	number    int            // of changes

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
	silent     []string  // could not say, long after that: a 503
	settled    time.Time // since when nothing is left to be told
}

// newFleet starts instances, and waits until all hear.
func newFleet(t *testing.T, n *topology, size int, change ...func(*setup)) *fleet {
	t.Helper()
	f := &fleet{t: t, on: n, prefix: prefixOf(t), gap: 200 * time.Millisecond, lasts: time.Second, grace: 3 * time.Second}
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
		if !i.ended() {
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

// token is the one of the latest change.
func (f *fleet) token() string {
	return fmt.Sprintf("token-%d-of-%s", f.number, f.prefix) // of characters that a token may have
}

// change removes a factor that all instances know of, by one of them, and watches until all
// refuse. Both go on by themselves.
func (f *fleet) change(author *instance) {
	f.number++
	token := f.token()
	f.telling.Add(1)
	f.changes.Go(func() {
		f.all("enroll", token)
		f.all("decide", token)
		f.all("remove", token)
		a, ok := author.do("invalidate", token)
		told := time.Now()
		f.telling.Done()
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

// follow asks an instance until it refuses, or the fleet has settled and it does not. A
// decision is held against the promise by when it began, and by how often the instance had
// heard before.
func (f *fleet) follow(token string, promised bool, told time.Time, i, author *instance) {
	var first, last answer
	f.asking.Add(1)
	defer f.asking.Add(-1)
	for n := 0; ; n++ {
		begun, settled := time.Now(), f.settledFor()
		a, ok := i.do("decide", token)
		if !ok {
			return
		}
		if last = a; n == 0 {
			first = a
		}
		f.judge(&a, first.Heard, promised, told, begun, i, author)
		// What lets it in for good is not a matter of time: a machine may be slow. Who cannot
		// say lets nobody in, and is waited for.
		if a.Refused || settled >= 0 && (a.Allowed || settled > patience) {
			break
		}
		// Two thousand times a second in all at most: more of it makes a machine slow.
		<-time.After(20 * time.Millisecond * time.Duration(1+f.asking.Load()/40))
	}
	if last.Refused {
		return
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

func (f *fleet) judge(a *answer, heard uint64, promised bool, told, begun time.Time, i, author *instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
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
		if !a.Out && a.Heard >= heard+3 {
			f.unheard++
		}
	}
}

// play changes a factor now and then, by each author in turn, for as long as something
// happens and for a while, and until one was acknowledged. Then it waits until all refuse, also where Invalidate has
// returned an error.
func (f *fleet) play(happen func()) {
	f.t.Helper()
	before := f.toldSoFar()
	f.mu.Lock()
	f.settled = time.Time{}
	f.mu.Unlock()
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
	eventually(f.t, func() bool { return f.toldSoFar() > before }, "nothing is acknowledged")
	close(over)
	ticks.Wait()
	f.telling.Wait()
	refused := make(chan struct{})
	go func() { f.changes.Wait(); close(refused) }()
	select {
	case <-refused:
		return
	case <-time.After(f.grace):
	}
	if !f.authorGone { // otherwise what it has not told ends with FreshFor
		f.settle()
	} else {
		select {
		case <-refused:
		case <-time.After(patience):
		}
	}
	f.mu.Lock()
	f.settled = time.Now()
	f.mu.Unlock()
	<-refused
}

func (f *fleet) toldSoFar() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told
}

// settledFor returns how long ago the fleet has settled, or less than 0.
func (f *fleet) settledFor() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.settled.IsZero() {
		return -1
	}
	return time.Since(f.settled)
}

// settle returns when nothing is left that could still be told, by what happens one after the
// other and not by time: each author's invalidations have all been acknowledged, it has
// listened long enough to know of those that were lost, and after that each instance has
// heard it.
func (f *fleet) settle() {
	f.t.Helper()
	for _, author := range f.authors {
		begun, _ := author.do("look", "")
		eventually(f.t, func() bool {
			a, _ := author.do("look", "")
			if a.Unsent > 0 {
				begun = a
			}
			return a.Heard >= begun.Heard+6 || author.ended()
		}, "an author does not get rid of its invalidations")
	}
	for _, author := range f.authors {
		f.number++
		token := f.token()
		f.all("enroll", token)
		f.all("decide", token)
		f.all("remove", token)
		eventually(f.t, func() bool {
			a, _ := author.do("invalidate", token)
			return a.Err == "" || author.ended()
		}, "an author can tell nobody")
		for _, i := range f.running() {
			eventually(f.t, func() bool {
				a, ok := i.do("decide", token)
				return a.Refused || !ok || author.ended()
			}, "an instance does not hear an author any more")
		}
	}
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
