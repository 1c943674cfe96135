package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/echomfa/echomfa"
)

// How long Watch waits before it tries again: twice as long each time.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 300 * time.Millisecond
)

// Watch calls hear for the invalidations of all instances, from one goroutine, in the
// order of the log. It goes on until ctx ends, and then returns nil; if the Store is
// closed, it returns [ErrClosed].
//
// It begins with the invalidations of the last 6 minutes, and then says Hearing, three
// times a second and more. It reads by the ordinary client, which follows failovers,
// and goes on where it was after a connection was lost. While Redis cannot be read,
// or its master says that it has too few replicas, it says Deaf.
func (s *Store) Watch(ctx context.Context, hear func(echomfa.StoreEvent)) error {
	if !s.begin() {
		return ErrClosed
	}
	defer s.running.Done()
	_, next := s.own.since(0)
	r := &reader{s: s, hear: hear, heard: make(map[place]bool), next: next}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		for {
			more, err := s.listen(ctx, r)
			if ctx.Err() != nil {
				return nil
			}
			if s.over() {
				return ErrClosed
			}
			if err != nil {
				hear(echomfa.StoreEvent{Kind: echomfa.Deaf, Cause: err})
				break
			}
			if pause = firstPause; !more {
				hear(echomfa.StoreEvent{Kind: echomfa.Hearing})
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-s.ended:
			timer.Stop()
			return ErrClosed
		case <-timer.C:
		}
	}
}

// listen reads the log once.
func (s *Store) listen(ctx context.Context, r *reader) (more bool, err error) {
	client, err := s.connect(ctx)
	if err != nil {
		return false, err
	}
	return r.round(ctx, client)
}

func (s *Store) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// An event is its format, and then the event sealed under each of the secrets,
// so that instances that have only one of them hear it, and those that have both
// hear it once.
const (
	eventFormat = '\x01'
	eventBytes  = 1 + 2*len(echomfa.StoreKey{})
	sealedBytes = eventBytes + 12 + 16 // a nonce before, a tag behind
)

// Why an entry of the log cannot be read.
var (
	errEvent = errors.New("redisstore: an entry of the log was not written by this package: " +
		"nobody but the app may write to its keys")
	errSecret = errors.New("redisstore: an invalidation is sealed under a secret that this instance does not have: " +
		"compare Secrets of all instances that have this Prefix, and give another app another Prefix")
)

func (s *Store) sealEvent(event echomfa.StoreEvent) string {
	plain := make([]byte, 0, eventBytes)
	plain = append(plain, eventFormat)
	plain = append(plain, event.Key[:]...)
	plain = append(plain, event.User[:]...)
	message := []byte{eventFormat}
	for _, secret := range s.secrets {
		message = append(message, secret.seal(plain, secret.log)...)
	}
	return string(message)
}

// openEvent returns errSecret if the message has the form of one.
func (s *Store) openEvent(message string) (echomfa.StoreEvent, error) {
	r := decoder{rest: message}
	if r.byte() != eventFormat || r.rest == "" || len(r.rest) > maxSecrets*sealedBytes || len(r.rest)%sealedBytes != 0 {
		return echomfa.StoreEvent{}, errEvent
	}
	for r.rest != "" {
		sealed := r.take(sealedBytes)
		for _, secret := range s.secrets {
			plain, err := secret.open(sealed, secret.log)
			if err != nil || len(plain) != eventBytes || plain[0] != eventFormat {
				continue
			}
			var event echomfa.StoreEvent
			copy(event.Key[:], plain[1:])
			copy(event.User[:], plain[1+len(event.Key):])
			return event, nil
		}
	}
	return echomfa.StoreEvent{}, errSecret
}
