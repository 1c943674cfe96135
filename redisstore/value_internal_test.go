package redisstore

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func testSecret(tb testing.TB) *secret {
	tb.Helper()
	s, err := newSecret([]byte(strings.Repeat("s", 32)), "test")
	require.NoError(tb, err)
	return s
}

func sampleFacts() plainFacts {
	return plainFacts{
		asked: time.Unix(1764061200, 123456789), expires: time.Unix(1764064800, 0),
		other: seen{token: newGeneration(byDelete)}, types: []echomfa.FactorType{echomfa.OTP, "", "指纹"},
	}
}

// TestF41UnknownFormatIsNotFacts: what was sealed with the right key and for the
// right place is still looked at.
func TestF41UnknownFormatIsNotFacts(t *testing.T) {
	t.Parallel()
	s, now := testSecret(t), time.Unix(1764061200, 500000000)
	facts := sampleFacts()
	good, err := facts.encode()
	require.NoError(t, err)
	f, err := openValue(s, string(s.seal(good, "here")), "here", now)
	require.NoError(t, err)
	assert.Equal(t, facts.types, f.types)
	_, err = openValue(s, string(s.seal(good, "here")), "there", now)
	require.Error(t, err)
	for name, plain := range map[string]string{
		"empty":                  "",
		"another format":         "\x02" + string(good[1:]),
		"something appended":     string(good) + "\x00",
		"cut":                    string(good[:len(good)-1]),
		"one type more":          string(good[:25+18+1]) + "\x04" + string(good[25+18+2:]),
		"a time out of range":    "\x01" + string(good[1:9]) + "\xff\xff\xff\xff" + string(good[13:]),
		"no time, but a bit":     "\x01\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + string(good[13:]),
		"zero time, in full":     "\x01" + string(appendSeconds(time.Time{}.Unix())) + string(good[13:]),
		"the format and no more": "\x01",
	} {
		_, err := openValue(s, string(s.seal([]byte(plain), "here")), "here", now)
		assert.Error(t, err, name)
	}
	_, err = openValue(s, string(s.seal(good, "here")), "here", facts.asked.Add(-ahead-time.Nanosecond))
	require.ErrorIs(t, err, errFuture)
	_, err = openValue(s, string(s.seal(good, "here")), "here", facts.asked.Add(-ahead))
	require.NoError(t, err)
}

func appendSeconds(seconds int64) []byte {
	b := appendTime(nil, time.Unix(0, 0))
	for i := range 8 {
		b[i] = byte(uint64(seconds) >> (56 - 8*i))
	}
	return b
}

func TestTimesComeBack(t *testing.T) {
	t.Parallel()
	for _, want := range []time.Time{
		{},
		time.Unix(0, 0), time.Unix(-1, 999999999), time.Unix(1764061200, 1),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Unix(math.MaxInt32, 0),
	} {
		r := reader{rest: string(appendTime(nil, want))}
		got := r.time()
		assert.True(t, want.Equal(got), want)
		assert.Equal(t, want.IsZero(), got.IsZero(), want)
		assert.False(t, r.bad, want)
	}
}

// FuzzValue: whatever is in Redis, or was sealed, is read without a panic; what
// is read is written as it was; and nothing opens that was not sealed.
func FuzzValue(f *testing.F) {
	facts := sampleFacts()
	plain, err := facts.encode()
	require.NoError(f, err)
	s := testSecret(f)
	empty, err := (&plainFacts{}).encode()
	require.NoError(f, err)
	f.Add(plain)
	f.Add(empty)
	f.Add([]byte("\x01\x11" + newGeneration(bySet) + string(s.seal(plain, "here"))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if facts, err := decodeFacts(string(raw)); err == nil {
			again, err := facts.encode()
			require.NoError(t, err)
			assert.Equal(t, raw, again)
		}
		generation, sealed, err := splitValue(string(raw))
		if err != nil {
			return
		}
		assert.True(t, generation == "" || isGeneration(generation))
		assert.Equal(t, string(raw), string(valueFormat)+string(rune(len(generation)))+generation+sealed)
		_, err = openValue(s, sealed, "there", time.Now())
		assert.Error(t, err)
	})
}

// FuzzMessage: whatever is on the channel is read without a panic, and nothing is
// heard that was not sealed.
func FuzzMessage(f *testing.F) {
	s := &Store{secrets: []*secret{testSecret(f)}}
	other := &Store{secrets: []*secret{testSecret(f)}}
	var err error
	other.secrets[0], err = newSecret([]byte(strings.Repeat("o", 32)), "test")
	require.NoError(f, err)
	f.Add([]byte(other.sealEvent(echomfa.StoreEvent{Key: echomfa.StoreKey{1}})))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := s.openEvent(string(raw))
		assert.Error(t, err)
	})
}
