package echomfa

import (
	"context"
	"time"
)

// consult begins a look-up in the Store. It is in no budget: GenAuth is not asked.
// The lock of the flight's shard is held, so it must not block.
func (l *lookups) consult(f *flight, token string, now time.Time) error {
	f.deadline, f.done = now.Add(l.timeout), make(chan struct{})
	return l.begin(f, func(ctx context.Context) {
		s := l.cache.shard(f.key)
		defer l.end(f)
		defer close(f.done)
		defer s.land(f)
		f.err = errNoResult
		f.facts, f.err = l.stored(ctx, f, token)
		switch {
		case f.err == nil && s.newer(f):
			f.err = errNotStored // this instance has asked since
		case f.err == nil:
			s.store(f, l.cache.newEntry(f, f.facts))
		case resultOf(f.err) == resultRefused:
			s.refuse(f, f.err)
		}
	})
}

// stored returns the facts that the Store has. Another instance has verified the
// token; this one does so for itself.
func (l *lookups) stored(ctx context.Context, f *flight, token string) (known facts, err error) {
	defer l.recovered(ctx, token, &err)
	reading, cancel := context.WithTimeout(ctx, storeReadFor)
	defer cancel()
	known, f.sent, f.version, err = l.tier.get(reading, f.shared, f.owner)
	if err != nil {
		f.sent = time.Now()
		return facts{}, err
	}
	if err := l.verifyOnce(ctx, f, token); err != nil {
		f.sent = time.Now() // a refusal is as old as itself, not as the facts
		return facts{}, err
	}
	return known, nil
}

// share tells the other instances what GenAuth has said. Those who wait for the
// look-up have their answer already. Current says that nothing was invalidated
// here meanwhile; what was invalidated elsewhere, the Store knows.
func (l *lookups) share(f *flight, current bool) {
	switch {
	case l.tier == nil || !f.keep:
	case current:
		l.tier.set(f, l.cache.rules.FreshFor)
	case f.known && resultOf(f.err) == resultRefused:
		// The other instances may know facts too. Not for every token that is
		// refused: made-up ones would be news to all.
		_ = l.tier.tell(context.Background(), func(ctx context.Context, s Store) error {
			return s.Delete(ctx, f.shared, f.owner)
		})
	}
}
