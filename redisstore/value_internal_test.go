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
	f, err := openValue(s, string(s.seal(good, "here")), "here", time.Minute, now)
	require.NoError(t, err)
	assert.Equal(t, facts.types, f.types)
	_, err = openValue(s, string(s.seal(good, "here")), "there", time.Minute, now)
	require.Error(t, err)
	for name, plain := range map[string]string{
		"empty":                  "",
		"another format":         "\x01" + string(good[1:]),
		"something appended":     string(good) + "\x00",
		"cut":                    string(good[:len(good)-1]),
		"a negative age":         string(good[:25]) + "\xff" + string(good[26:]),
		"one type more":          string(good[:41+18+1]) + "\x04" + string(good[41+18+2:]),
		"a time out of range":    "\x02" + string(good[1:9]) + "\xff\xff\xff\xff" + string(good[13:]),
		"no time, but a bit":     "\x02\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + string(good[13:]),
		"zero time, in full":     "\x02" + string(appendSeconds(time.Time{}.Unix())) + string(good[13:]),
		"the format and no more": "\x02",
	} {
		_, err := openValue(s, string(s.seal([]byte(plain), "here")), "here", time.Minute, now)
		assert.Error(t, err, name)
	}
	_, err = openValue(s, string(s.seal(good, "here")), "here", -time.Millisecond, now)
	require.ErrorIs(t, err, errForGood)
}

// TestAgeWhateverTheClocksSay: the age of facts is what the clocks say, or what is left
// of their life says, whichever is more. Neither makes them younger.
func TestAgeWhateverTheClocksSay(t *testing.T) {
	t.Parallel()
	s, facts := testSecret(t), sampleFacts()
	facts.age, facts.keep = 2*time.Second, time.Minute
	plain, err := facts.encode()
	require.NoError(t, err)
	for name, row := range map[string]struct {
		later, left, want time.Duration // by the clock of who asks; of its life
	}{
		"clocks agree":              {12 * time.Second, 50 * time.Second, 12 * time.Second},
		"nearly":                    {11950 * time.Millisecond, 50 * time.Second, 11950 * time.Millisecond},
		"the reader is behind":      {2 * time.Second, 50 * time.Second, 12 * time.Second},
		"far behind":                {-time.Hour, 50 * time.Second, 12 * time.Second},
		"the reader is ahead":       {40 * time.Second, 50 * time.Second, 40 * time.Second},
		"its life was prolonged":    {12 * time.Second, time.Hour, 12 * time.Second},
		"prolonged and behind":      {-time.Hour, time.Hour, 2 * time.Second},
		"at the end of its life":    {0, 0, 62 * time.Second},
		"just kept, and far behind": {-time.Hour, time.Minute, 2 * time.Second},
	} {
		now := facts.asked.Add(row.later)
		f, err := openValue(s, string(s.seal(plain, "here")), "here", row.left, now)
		require.NoError(t, err, name)
		assert.Equal(t, row.want, now.Sub(f.asked), name)
	}
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
		r := decoder{rest: string(appendTime(nil, want))}
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
	f.Add([]byte("\x02\x11" + newGeneration(bySet) + "0001764061200000" + string(s.seal(plain, "here"))))
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
		header := string(valueFormat) + string(rune(len(generation))) + generation
		assert.Equal(t, string(raw), header+string(raw[len(header):len(header)+askedBytes])+sealed)
		_, err = openValue(s, sealed, "there", time.Minute, time.Now())
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
