package echomfa_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/storetest"
)

// keptStore tells what it is given to keep.
type keptStore struct {
	*storetest.Memory
	kept chan echomfa.StoredFacts
}

func (s *keptStore) Set(ctx context.Context, f echomfa.StoredFacts, v echomfa.StoreVersion, keep time.Duration) error {
	s.kept <- f
	return s.Memory.Set(ctx, f, v, keep)
}

// TestProfileIsNotKept shows what docs/privacy.md says first: of a factor with a phone
// number, the type goes on to the Store, the log and the decision, and the number to
// none of them.
func TestProfileIsNotKept(t *testing.T) {
	t.Parallel()
	const number = "13800138004"
	lister := echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) {
		return []client.Factor{{ID: "f-" + number, Type: client.SMS, Profile: map[string]any{"phoneNumber": number}}}, nil
	})
	var told strings.Builder
	store := &keptStore{storetest.NewMemory(), make(chan echomfa.StoredFacts, 1)}
	enforcer := newEnforcerOf(t, echomfa.Config{
		Client: lister, Namespace: "test", Audience: []string{"app"}, Cache: echomfa.CacheConfig{Store: store},
		Logger: slog.New(slog.NewTextHandler(&told, nil)),
	})
	decision, err := enforcer.Decide(t.Context(), "a-token", echomfa.AnyOf(echomfa.OTP))
	_, _ = fmt.Fprintf(&told, "%+v %#v %v %+v", decision, decision, err, <-store.kept)
	assert.Contains(t, told.String(), "SMS")
	assert.NotContains(t, told.String(), number)
}
