package integration_test

import (
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asked checks how often GenAuth was asked about each of the four.
func asked(least, most int) func(*testing.T, *rig, []reply) {
	return func(t *testing.T, r *rig, all []reply) {
		t.Helper()
		for _, got := range all {
			calls := r.front.calls(got.token)
			assert.GreaterOrEqual(t, calls, least, got.caller)
			assert.LessOrEqual(t, calls, most, got.caller)
		}
	}
}

// runAll runs rows under their names.
func runAll(t *testing.T, rows map[string]fault) {
	t.Helper()
	for name, row := range rows {
		t.Run(name, row.run)
	}
}

func TestF08ServerErrorWithAGoodBody(t *testing.T) {
	t.Parallel()
	runAll(t, map[string]fault{
		"500": {begin: spoil(500, ""), stale: true, after: asked(1, 1)},
		"501": {begin: spoil(501, ""), stale: true, after: asked(1, 1)},
		"502": {begin: spoil(502, ""), stale: true, after: asked(1, 2)},
		"503": {begin: spoil(503, ""), stale: true, after: asked(1, 2)},
		"504": {begin: spoil(504, ""), stale: true, after: asked(1, 2)},
		"599": {begin: spoil(599, ""), stale: true, after: asked(1, 1)},
	})
}

// told checks the answers' Retry-After, and that nobody else asks GenAuth for
// that long, or for as long as it is heeded. All figures are seconds from when
// the fault began, of which a busy machine may have spent some.
func told(least, most, heeded int) func(*testing.T, *rig, []reply) {
	return func(t *testing.T, r *rig, all []reply) {
		t.Helper()
		asked(0, 1)(t, r, all)
		passed := func() int { return int(time.Since(r.spoiled) / time.Second) }
		for _, got := range all {
			assert.GreaterOrEqual(t, retryAfter(t, got), min(least, heeded)-passed(), got.caller)
			assert.LessOrEqual(t, retryAfter(t, got), most, got.caller)
		}
		calls := r.front.calls()
		r.front.answer(tellTruth)
		if r.enforcer.Stats().Lookups.Succeeded == 0 {
			return // nobody is known whose limit could be everybody's
		}
		for i := range 5 {
			got := r.ask(caller{browser: i%2 == 0, has: true, token: tokenWith("new-" + strconv.Itoa(i))})
			seen := r.front.calls()
			if passed() >= min(least, heeded) {
				break // it may be over
			}
			r.refused(got, http.StatusServiceUnavailable)
			assert.GreaterOrEqual(t, retryAfter(t, got), min(least, heeded)-1-passed())
			assert.LessOrEqual(t, retryAfter(t, got), heeded)
			assert.Equal(t, calls, seen, "it asked to be left alone")
		}
	}
}

func TestF09RetryAfterOf429IsKept(t *testing.T) {
	t.Parallel()
	limited := func(header ...string) func(*rig) { return spoil(429, code(429, 0), header...) }
	runAll(t, map[string]fault{
		"3 seconds":            {begin: limited("Retry-After", "3"), stale: true, after: told(3, 3, 3)},
		"an hour is a minute":  {begin: limited("Retry-After", "3600"), stale: true, after: told(60, 3600, 60)},
		"in a body with a 200": {begin: spoil(200, code(429, 0), "Retry-After", "3"), stale: true, after: told(3, 3, 3)},
		"no Retry-After":       {begin: limited(), stale: true, after: told(1, 1, 1)},
		"over after its time": {begin: limited("Retry-After", "1"), stale: true, after: func(t *testing.T, r *rig, all []reply) {
			t.Helper()
			told(1, 1, 1)(t, r, all)
			pass(t, time.Second+50*time.Millisecond)
			r.granted(r.ask(callers()[0]))
			r.sentToEnroll(r.ask(callers()[1]))
		}},
	})
}

func TestF10RetryAfterDateOf503IsKept(t *testing.T) {
	t.Parallel()
	runAll(t, map[string]fault{
		"a minute ahead": {begin: func(r *rig) {
			spoil(503, "", "Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))(r)
		}, stale: true, after: told(58, 60, 60)},
	})
}

// refusedForGood are the rows of a token that GenAuth refuses: what was known
// of it is not used any more, also when GenAuth is gone afterwards.
func refusedForGood(begin func(*rig)) fault {
	return fault{
		setup:  func(s *setup) { s.enforcer.Cache.RefusedFor = shortly },
		begin:  begin,
		status: http.StatusUnauthorized,
		whole:  true,
		after:  asked(1, 1),
		later: func(t *testing.T, r *rig) {
			t.Helper()
			assert.Zero(t, r.enforcer.Stats().Entries, "nothing is known any more")
			pass(t, shortly+time.Millisecond)
			spoil(500, "")(r)
			for _, got := range r.askAll(callers()) {
				r.refused(got, http.StatusServiceUnavailable)
			}
		},
	}
}

func TestF11RevokedTokenIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	runAll(t, map[string]fault{
		"envelope": refusedForGood(spoil(401, code(401, 2020))),
		"no body":  refusedForGood(spoil(401, " ")),
		"page":     refusedForGood(spoil(401, "<html>"+upstreamMark, "Content-Type", "text/html")),
		"too long": refusedForGood(spoil(401, "{", "Content-Length", "9999999")),
	})
}

func TestF12ForbiddenIsAMisconfiguration(t *testing.T) {
	t.Parallel()
	runAll(t, map[string]fault{
		"403":             {begin: spoil(403, code(403, 0)), after: asked(1, 1)},
		"403, good body":  {begin: spoil(403, ""), after: asked(1, 1)},
		"400":             {begin: spoil(400, code(400, 0)), after: asked(1, 1)},
		"404, page":       {begin: spoil(404, "<html>"+upstreamMark), after: asked(1, 1)},
		"no such app":     {begin: spoil(200, code(404, 2011)), after: asked(1, 1)},
		"no such pool":    {begin: spoil(200, code(404, 2224)), after: asked(1, 1)},
		"403 in the body": {begin: spoil(200, code(403, 0)), after: asked(1, 1)},
	})
}

func TestF13FailureInABodyWith200(t *testing.T) {
	t.Parallel()
	const row = `[{"factorId":"1","factorType":"OTP"}]`
	rows := make(map[string]fault)
	for _, body := range []string{
		code(500, 0), code(503, 0), code(601, 0), code(0, 0), code(-1, 0), code(200, 5000), code(300, 0),
		`{"data":` + row + `}`,
		`{"statusCode":"200","data":` + row + `}`,
		`{"statusCode":200.5,"data":` + row + `}`,
		`{"StatusCode":200,"data":` + row + `}`,
		`{"statusCode":500,"statusCode":200,"data":` + row + `}`,
		`{"statusCode":200,"data":[],"data":` + row + `}`,
		`{"statusCode":200}`,
		`{"statusCode":200,"data":null}`,
		`{"statusCode":200,"data":"OTP"}`,
		`{"statusCode":200,"data":` + row + `}{}`,
		`[` + row + `]`,
		`null`,
	} {
		rows[body] = fault{begin: spoil(200, body), stale: true, after: asked(1, 1)}
	}
	runAll(t, rows)
}

func TestF14Refusal401InABodyWith200(t *testing.T) {
	t.Parallel()
	runAll(t, map[string]fault{
		"401":                {begin: refusedForGood(spoil(200, code(401, 0))).begin, status: 401, after: asked(1, 1)},
		"401, then an error": refusedForGood(spoil(200, code(401, 0))),
		"not logged in":      refusedForGood(spoil(200, code(401, 2020))),
		"user disabled":      refusedForGood(spoil(200, code(403, 2120008))),
		"tenant not allowed": refusedForGood(spoil(200, code(403, 2130010))),
	})
}

func TestF15CaptivePortal(t *testing.T) {
	t.Parallel()
	const page = `<!doctype html><title>Welcome</title><p>` + upstreamMark
	runAll(t, map[string]fault{
		"page":               {begin: spoil(200, page, "Content-Type", "text/html"), stale: true, after: asked(1, 1)},
		"page that is JSON":  {begin: spoil(200, page, "Content-Type", "application/json"), stale: true, after: asked(1, 1)},
		"sign-in first, 511": {begin: spoil(511, page, "Content-Type", "text/html"), stale: true, after: asked(1, 1)},
		"nothing, 204":       {begin: spoil(204, " "), stale: true, after: asked(1, 1)},
	})
}

// TestF16EveryPrefixOfAGoodAnswer asks one Enforcer after the other, so that
// none has stopped asking.
func TestF16EveryPrefixOfAGoodAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	body := envelope("EMAIL", "OTP")
	decide := func(announced int) echomfa.Outcome {
		t.Helper()
		e, err := echomfa.New(echomfa.Config{Client: r.genauth, Cache: echomfa.CacheConfig{Size: 1}, Lookup: echomfa.LookupConfig{Timeout: patience}})
		require.NoError(t, err)
		defer func() { assert.NoError(t, e.Close()) }()
		d, err := e.Decide(t.Context(), tokenWith("prefix"), otpPolicy())
		assert.Equal(t, d.Outcome == echomfa.Allowed, err == nil)
		assert.Equal(t, d.Outcome == echomfa.Unavailable, e.Stats().Entries == 0, announced)
		return d.Outcome
	}
	for n := range body {
		for _, announced := range []int{n, len(body)} {
			r.front.answer(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(announced))
				_, _ = io.WriteString(w, body[:n])
			})
			require.Equal(t, echomfa.Unavailable, decide(announced), "%d bytes of %d announced", n, announced)
		}
	}
	spoil(200, body)(r)
	require.Equal(t, echomfa.Allowed, decide(len(body)))
}

func TestF16TruncatedAnswers(t *testing.T) {
	t.Parallel()
	body := envelope("OTP")
	rows := make(map[string]fault)
	for _, n := range []int{0, 1, len(body) / 2, len(body) - 2, len(body) - 1} {
		begin := func(r *rig) {
			r.front.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body[:n]) })
		}
		rows[strconv.Itoa(n)] = fault{begin: begin, stale: true, after: asked(1, 1)}
	}
	runAll(t, rows)
}

// TestF17ContentTypeIsNotLookedAt shows that a good answer is one whatever it is
// called: proxies in between are known to lose the header, and a page that is
// called JSON is not JSON (F15).
func TestF17ContentTypeIsNotLookedAt(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"", "text/plain", "text/html; charset=utf-8", "application/octet-stream", "a/b/c", "application/json; charset=gbk"} {
		t.Run(contentType, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.front.answer(func(w http.ResponseWriter, req *http.Request) {
				w.Header()["Content-Type"] = nil
				if contentType != "" {
					w.Header().Set("Content-Type", contentType)
				}
				_, _ = io.WriteString(w, truth(req))
			})
			for _, got := range r.askAll(callers()) {
				r.right(got)
			}
		})
	}
}
