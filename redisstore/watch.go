package redisstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/redis/rueidis"
)

// How long Watch waits before it connects again: twice as long each time.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// Watch calls hear for the invalidations of all instances, from one goroutine at
// a time, on a connection of its own. It goes on until ctx ends, and then returns
// nil; if the Store is closed, it returns [ErrClosed].
//
// The first event is {Resumed: true}, and there is another each time after the
// connection was lost, as soon as Redis has confirmed that it is heard: what was
// invalidated before is not known. A connection that is dead without a word is
// noticed by a ping, in 0.8 s unless Config.Redis says otherwise. An event has
// either a Key or a User. hear should be quick: while it takes longer than
// ConnWriteTimeout, the connection may count as dead.
func (s *Store) Watch(ctx context.Context, hear func(echomfa.StoreEvent)) error {
	if !s.begin() {
		return ErrClosed
	}
	defer s.running.Done()
	e := &ear{hear: hear}
	defer e.close()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if s.listen(ctx, e) {
			pause = firstPause
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

// ear hears one event at a time, and none after it was closed.
type ear struct {
	mu     sync.Mutex
	closed bool
	hear   func(echomfa.StoreEvent)
}

func (e *ear) tell(event echomfa.StoreEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.hear(event)
	}
}

func (e *ear) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
}

// listen subscribes, and hears until the connection is lost or ctx ends. It
// reports whether there was anything to hear.
func (s *Store) listen(ctx context.Context, e *ear) (subscribed bool) {
	client, err := s.connect(ctx)
	if err != nil {
		return false
	}
	connection, release := client.Dedicate()
	defer release()
	defer connection.Close()
	channel := s.secrets[0].channel
	// Both are called by the reader of the connection, in the order of what
	// Redis says: nothing is heard before Resumed.
	lost := connection.SetPubSubHooks(rueidis.PubSubHooks{
		OnSubscription: func(sub rueidis.PubSubSubscription) {
			if sub.Kind == "subscribe" && sub.Channel == channel {
				s.subscribed.Add(1)
				e.tell(echomfa.StoreEvent{Resumed: true})
			}
		},
		OnMessage: func(m rueidis.PubSubMessage) {
			event, err := s.openEvent(m.Message)
			if err != nil {
				s.rejectedEvents.Add(1)
				return
			}
			e.tell(event)
		},
	})
	own, cancel := context.WithTimeout(ctx, s.callTimeout())
	defer cancel()
	if err := connection.Do(own, connection.B().Subscribe().Channel(channel).Build()).Error(); err != nil {
		return false
	}
	select {
	case <-lost: //nolint:errcheck // whatever it is, the connection is made anew
	case <-ctx.Done():
	case <-s.ended:
	}
	return true
}

// A message is its format, and then the event sealed under each of the secrets,
// so that instances that have only one of them hear it, and those that have both
// hear it once.
const (
	eventFormat = '\x01'
	eventBytes  = 1 + 2*len(echomfa.StoreKey{})
	sealedBytes = eventBytes + 12 + 16 // a nonce before, a tag behind
)

var errEvent = errors.New("it is not an event of this app")

func (s *Store) sealEvent(event echomfa.StoreEvent) string {
	plain := make([]byte, 0, eventBytes)
	plain = append(plain, eventFormat)
	plain = append(plain, event.Key[:]...)
	plain = append(plain, event.User[:]...)
	message := []byte{eventFormat}
	for _, secret := range s.secrets {
		message = append(message, secret.seal(plain, secret.channel)...)
	}
	return string(message)
}

func (s *Store) openEvent(message string) (echomfa.StoreEvent, error) {
	r := reader{rest: message}
	if r.byte() != eventFormat || len(r.rest) > maxSecrets*sealedBytes {
		return echomfa.StoreEvent{}, errEvent
	}
	for r.rest != "" {
		sealed := r.take(sealedBytes)
		for _, secret := range s.secrets {
			plain, err := secret.open(sealed, secret.channel)
			if err != nil || len(plain) != eventBytes || plain[0] != eventFormat {
				continue
			}
			var event echomfa.StoreEvent
			copy(event.Key[:], plain[1:])
			copy(event.User[:], plain[1+len(event.Key):])
			return event, nil
		}
		if r.bad {
			break
		}
	}
	return echomfa.StoreEvent{}, errEvent
}
