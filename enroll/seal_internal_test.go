package enroll

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sealerOf(tb testing.TB, keys ...string) *sealer {
	tb.Helper()
	raw := make([][]byte, len(keys))
	for i, key := range keys {
		raw[i] = []byte(strings.Repeat(key, 32))
	}
	s, err := newSealer("app", raw)
	require.NoError(tb, err)
	return s
}

func stateUntil(until time.Time) *state {
	return &state{
		Type: client.OTP, ProvenUntil: until.UTC().Round(0), Had: 1, HadApp: true, Begun: until.Add(-time.Minute).UTC().Round(0), Token: "SECRET-TOKEN",
		KeyURI: "otpauth://SECRET-URI", Recovery: "SECRET-RECOVERY", Region: "CN", Phone: "SECRET-PHONE", Email: "SECRET-EMAIL", Done: true,
	}
}

func TestSeal(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s, want := sealerOf(t, "a"), stateUntil(now.Add(time.Minute))
	sealed := s.seal(want, "token")
	have, err := s.open(sealed, "token", now)
	require.NoError(t, err)
	assert.Equal(t, want, have)
	assert.NotEqual(t, sealed, s.seal(want, "token"))
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	require.NoError(t, err)
	assert.NotContains(t, string(raw)+sealed, "SECRET")

	rows := map[string]struct {
		s             *sealer
		sealed, token string
		at            time.Time
	}{
		"another token":           {s, sealed, "token2", now},
		"no token":                {s, sealed, "", now},
		"another key":             {sealerOf(t, "b"), sealed, "token", now},
		"its time":                {s, sealed, "token", now.Add(time.Minute)},
		"too old":                 {s, sealed, "token", now.Add(time.Hour)},
		"no time":                 {s, s.seal(&state{Type: client.OTP}, "token"), "token", now},
		"empty":                   {s, "", "token", now},
		"nonce only":              {s, sealed[:16], "token", now},
		"padded":                  {s, sealed + "=", "token", now},
		"more behind it":          {s, sealed + "AAAA", "token", now},
		"not base64":              {s, "%" + sealed[1:], "token", now},
		"the other alphabet":      {s, strings.Repeat("+/", 50), "token", now},
		"too long, though sealed": {s, s.seal(&state{ProvenUntil: now.Add(time.Minute), KeyURI: strings.Repeat("x", maxSealedBytes)}, "token"), "token", now},
		"not JSON":                {s, base64.RawURLEncoding.EncodeToString(s.newestFirst[0].Seal(nil, nil, []byte("x"), s.owner(forForms, "token"))), "token", now},
	}
	for name, row := range rows {
		have, err := row.s.open(row.sealed, row.token, row.at)
		assert.Nil(t, have, name)
		assert.ErrorIs(t, err, errState, name)
		assert.Equal(t, errState, err, name)
	}
	for n := range sealed {
		_, err := s.open(sealed[:n], "token", now)
		require.Error(t, err, n)
	}
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			_, err := s.open(base64.RawURLEncoding.EncodeToString(raw), "token", now)
			require.Error(t, err, i)
			raw[i] ^= 1 << bit
		}
	}
	_, err = s.open(sealed, "token", now.Add(time.Minute-time.Millisecond))
	assert.NoError(t, err)
}

// TestSealRotation opens what an old key sealed as long as it is there.
func TestSealRotation(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old, both, renewed := sealerOf(t, "a"), sealerOf(t, "b", "a"), sealerOf(t, "b")
	st := stateUntil(now.Add(time.Minute))
	opens := func(s *sealer, sealed string) bool {
		_, err := s.open(sealed, "token", now)
		return err == nil
	}
	assert.True(t, opens(both, old.seal(st, "token")))
	assert.False(t, opens(renewed, old.seal(st, "token")))
	assert.True(t, opens(renewed, both.seal(st, "token")))
	assert.False(t, opens(old, both.seal(st, "token")))
}

// FuzzState opens arbitrary text for arbitrary tokens: only what was sealed for
// the token opens.
func FuzzState(f *testing.F) {
	now := time.Date(2026, time.November, 25, 0, 0, 0, 0, time.UTC)
	s := sealerOf(f, "a", "b")
	st := stateUntil(now.Add(time.Hour))
	sealed := s.seal(st, "token")
	old := sealerOf(f, "b").seal(st, "token")
	for _, seed := range []string{"", sealed, old, sealed[:20], "AAAA", "====", strings.Repeat("A", maxSealedBytes+1)} {
		f.Add(seed, "token")
		f.Add(seed, "other")
	}
	f.Fuzz(func(t *testing.T, text, token string) {
		have, err := s.open(text, token, now)
		// Another process of the same fuzzing has sealed other texts.
		if (err == nil) != (have != nil) || have != nil && (token != "token" || *have != *st) {
			t.Fatalf("%q for %q: %v, %v", text, token, have, err)
		}
		if ours := token == "token" && (text == sealed || text == old); ours && err != nil {
			t.Fatal(err)
		}
		again, err := s.open(s.seal(st, token), token, now)
		if err != nil || *again != *st {
			t.Fatalf("%q: %v, %v", token, again, err)
		}
	})
}

// FuzzAcceptLanguage chooses a language that there is, whatever the header says.
func FuzzAcceptLanguage(f *testing.F) {
	l, err := newLanguages(map[string]map[string]string{"de-AT": nil})
	require.NoError(f, err)
	for _, seed := range []string{
		"", "zh", "zh-CN,zh;q=0.9,en;q=0.8", "de;q=1.001, *;q=0", "fr,,;,;q=,en;q=0", `"zh`, "zh;Q=1", strings.Repeat("zh,", 100), strings.Repeat("-", 1000),
	} {
		f.Add(seed, "")
		f.Add("de", seed)
	}
	f.Fuzz(func(t *testing.T, header, chosen string) {
		for _, lines := range [][]string{{header}, {header, header}, nil} {
			r := &http.Request{Header: map[string][]string{"Accept-Language": lines}}
			tag := l.choose(r, chosen)
			if _, ok := l[tag]; !ok {
				t.Fatalf("%q", tag)
			}
			if lines == nil && chosen == "" && tag != defaultLanguage {
				t.Fatalf("%q", tag)
			}
		}
	})
}

// TestAcceptLanguageIsBounded takes no more time for a header of many languages.
func TestAcceptLanguageIsBounded(t *testing.T) {
	t.Parallel()
	l, err := newLanguages(nil)
	require.NoError(t, err)
	many := &http.Request{Header: map[string][]string{"Accept-Language": {strings.Repeat("fr,", maxLanguages-1) + "zh"}}}
	assert.Equal(t, "zh-CN", l.choose(many, ""))
	many.Header["Accept-Language"] = []string{strings.Repeat("fr,", maxLanguages) + "zh"}
	assert.Equal(t, "en", l.choose(many, ""))
	many.Header["Accept-Language"] = []string{strings.Repeat("fr,", maxLanguages-1) + "fr", "zh"}
	assert.Equal(t, "en", l.choose(many, ""))
}

// TestSealedForAnotherPurpose has what asks for a proof, which must not pass for a state,
// and the other way round, whatever is in them.
func TestSealedForAnotherPurpose(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s, soon := sealerOf(t, "a"), now.Add(time.Minute)
	_, err := s.open(s.sealAs(forPages, stateUntil(soon), "token"), "token", now)
	require.ErrorIs(t, err, errState)
	_, err = s.openPage(s.sealAs(forForms, &shown{Until: soon}, "token"), "token", now)
	require.ErrorIs(t, err, errState)
	page, err := s.openPage(s.sealPage(&shown{ID: "x", Until: soon}, "token"), "token", now)
	require.NoError(t, err)
	assert.Equal(t, "x", page.ID)
	_, err = s.openPage(s.sealPage(page, "token"), "token", soon)
	require.ErrorIs(t, err, errState, "its time")
}
