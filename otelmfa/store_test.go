package otelmfa_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/echomfa/echomfa/otelmfa"
)

// muteStore is a Store that is heard until it is not, and whose calls fail then.
type muteStore struct{ mute chan struct{} }

var errAway = errors.New("away")

func (s muteStore) away() error {
	select {
	case <-s.mute:
		return errAway
	default:
		return nil
	}
}

func (s muteStore) Get(context.Context, echomfa.StoreKey, echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
	return echomfa.StoredFacts{}, false, "", s.away()
}

func (s muteStore) Set(context.Context, echomfa.StoredFacts, echomfa.StoreVersion, time.Duration) error {
	return s.away()
}

func (s muteStore) Delete(context.Context, echomfa.StoreKey, echomfa.StoreKey) error { return s.away() }

func (s muteStore) DeleteUser(context.Context, echomfa.StoreKey) error { return s.away() }

func (s muteStore) Watch(ctx context.Context, hear func(echomfa.StoreEvent)) error {
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			if s.away() == nil {
				hear(echomfa.StoreEvent{Kind: echomfa.Hearing})
			}
		}
	}
}

// TestDeafIsShown has an instance that does not hear the Store any more: two seconds later
// the gauge that EchomfaInstanceDeaf looks at says so.
func TestDeafIsShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := muteStore{make(chan struct{})}
		r := newRig(t, func(_ *otelmfa.Config, cfg *echomfa.Config) { cfg.Cache.Store = store })
		deaf := func() int64 {
			gauge, ok := r.collected(t)["echomfa.store.deaf"].Data.(metricdata.Gauge[int64])
			require.True(t, ok)
			require.Len(t, gauge.DataPoints, 1)
			return gauge.DataPoints[0].Value
		}
		time.Sleep(time.Minute)
		assert.Zero(t, deaf())
		close(store.mute)
		time.Sleep(2 * time.Second)
		assert.EqualValues(t, 1, deaf())
	})
}
