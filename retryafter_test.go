package echomfa_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// roundTripper answers without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestH1OneLimitForRetryAfter shows, with the client that reads the header, that
// the request which made the lookup and the next one are told the same, that it
// is never over a minute, and that the token is not asked about as long.
func TestH1OneLimitForRetryAfter(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) func() []string {
		return func() []string { return []string{time.Now().Add(d).UTC().Format(http.TimeFormat)} }
	}
	is := func(lines ...string) func() []string { return func() []string { return lines } }
	rows := map[string]struct {
		lines func() []string // read when GenAuth answers
		want  time.Duration
		asks  bool // whether it is an order to wait at all
	}{
		"an hour":            {is("3600"), time.Minute, true},
		"1,000 s":            {is("1000"), time.Minute, true},
		"a date":             {in(1812 * time.Second), time.Minute, true},
		"a date, RFC 850":    {func() []string { return []string{time.Now().Add(time.Hour).UTC().Format(time.RFC850)} }, time.Minute, true},
		"a date, asctime":    {func() []string { return []string{time.Now().Add(30 * time.Second).UTC().Format(time.ANSIC)} }, 30 * time.Second, true},
		"61 s":               {is("61"), time.Minute, true},
		"a minute":           {is("60"), time.Minute, true},
		"7 s":                {is("7"), 7 * time.Second, true},
		"zero":               {is("0"), time.Second, true},
		"a past date":        {in(-time.Hour), time.Second, true},
		"huge":               {is("99999999999999999999"), time.Minute, true},
		"two lines":          {is("3", "3600"), time.Minute, true},
		"negative":           {is("-7"), time.Second, false},
		"an exponent":        {is("1e9"), time.Second, false},
		"not a time":         {is("soon"), time.Second, false},
		"there is no header": {is(), time.Second, false},
	}
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		for name, row := range rows {
			t.Run(http.StatusText(status)+", "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					calls := 0
					genauth, err := client.New(client.Config{
						BaseURL: "https://genauth.invalid", AppID: "app",
						HTTPClient: &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
							calls++
							return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": row.lines()}, Body: http.NoBody}, nil
						})},
					})
					require.NoError(t, err)
					e := newEnforcer(t, genauth, nil)
					told := func() time.Duration {
						_, err := e.Decide(t.Context(), token, echomfa.AnyOf(echomfa.OTP))
						var lookup *echomfa.LookupError
						require.ErrorAs(t, err, &lookup)
						return lookup.RetryAfter
					}
					first := told()
					assert.Equal(t, row.want, first, "whose request made the lookup")
					made := calls
					if status == http.StatusServiceUnavailable && !row.asks {
						assert.Equal(t, 1, made, "no retry, as nothing is known of the token")
						return
					}
					assert.Equal(t, 1, made, "a Retry-After does not ask for a retry at once")
					second := told()
					assert.LessOrEqual(t, second, row.want, "the next one")
					assert.Greater(t, second, row.want-time.Second-time.Millisecond)
					assert.Equal(t, made, calls, "nobody is asked meanwhile")
					pass(row.want)
					told()
					assert.Greater(t, calls, made, "the pause is over")
				})
			})
		}
	}
}

// TestH1ListerOfTheAppIsBoundToo shows the same for a lister that is not our
// client, and for a wait that pauses nobody.
func TestH1ListerOfTheAppIsBoundToo(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"limited": 429, "unavailable": 503, "misconfigured": 403, "redirected": 302} {
		for _, says := range []time.Duration{-time.Hour, 0, time.Minute, 24 * time.Hour} {
			t.Run(name+" "+says.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					e := newEnforcer(t, echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) {
						return nil, &client.APIError{HTTPStatus: status, RetryAfter: says}
					}), nil)
					_, err := e.Decide(t.Context(), token, echomfa.AnyOf(echomfa.OTP))
					var lookup *echomfa.LookupError
					require.ErrorAs(t, err, &lookup)
					assert.Equal(t, min(max(says, time.Second), time.Minute), lookup.RetryAfter)
				})
			})
		}
	}
}
