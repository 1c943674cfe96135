package redisstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
)

// A value in Redis is
//
//	format, length of the generation, generation, asked, sealed facts
//
// with the generation of the user under which the facts were kept, and when GenAuth
// was asked, in microseconds: by them a reader that has no secret, the script, can go
// on. They are not sealed: who can write them can write the generation itself, or
// delete the value.
const (
	valueFormat = '\x02'
	askedBytes  = 16
)

func microseconds(t time.Time) string {
	return fmt.Sprintf("%0*d", askedBytes, min(max(0, t.UnixMicro()), 1e16-1))
}

// The sealed facts are
//
//	format, asked, expires, age, keep, generations under the other secret (two), number of types, types
//
// with times as seconds since 1970 and nanoseconds, durations in nanoseconds, and a
// length of one byte before each text. The token and the user are not in them: what is sealed is
// bound to their digests.
const factsFormat = '\x02'

// Bounds on facts. The Enforcer's own are 37 types of 64 bytes.
const (
	maxTypes      = 64
	maxTypeBytes  = 255
	maxValueBytes = 20 << 10
)

// agree is how far the clocks of two instances, with the time that a call takes, are
// apart and still taken to be the same.
const agree = 100 * time.Millisecond

// plainFacts is what is sealed.
type plainFacts struct {
	asked, expires time.Time
	// age is how old the facts were when they were kept, by the clock of who asked, and
	// keep for how long they were. With what is left of that they tell how old they
	// are, whatever the clocks say.
	age, keep time.Duration
	// other are the generations of the token and of the user under the other
	// secret, of what was invalidated: see lookUp.
	other seen
	types []echomfa.FactorType
}

// seen is what a reader has seen of the generations of a token and its user: ""
// for none.
type seen struct{ token, user string }

// invalidated leaves only what a Delete or a DeleteUser has made.
func (s seen) invalidated() seen {
	if !strings.HasPrefix(s.token, byDelete) {
		s.token = ""
	}
	if !strings.HasPrefix(s.user, byDelete) {
		s.user = ""
	}
	return s
}

func (f *plainFacts) encode() ([]byte, error) {
	if len(f.types) > maxTypes {
		return nil, fmt.Errorf("redisstore: %d types are too many", len(f.types))
	}
	b := make([]byte, 0, 128)
	b = append(b, factsFormat)
	b = appendTime(b, f.asked)
	b = appendTime(b, f.expires)
	b = binary.BigEndian.AppendUint64(b, uint64(f.age))
	b = binary.BigEndian.AppendUint64(b, uint64(f.keep))
	b = appendText(b, f.other.token)
	b = appendText(b, f.other.user)
	b = append(b, byte(len(f.types)))
	for _, t := range f.types {
		if len(t) > maxTypeBytes {
			return nil, fmt.Errorf("redisstore: a type of %d bytes is too long", len(t))
		}
		b = appendText(b, string(t))
	}
	return b, nil
}

// noTime stands for the zero time.
const noTime = math.MinInt64

func appendTime(b []byte, t time.Time) []byte {
	seconds, nanos := int64(noTime), 0
	if !t.IsZero() {
		seconds, nanos = t.Unix(), t.Nanosecond()
	}
	b = binary.BigEndian.AppendUint64(b, uint64(seconds))
	return binary.BigEndian.AppendUint32(b, uint32(nanos))
}

func appendText(b []byte, text string) []byte {
	return append(append(b, byte(len(text))), text...)
}

// decoder takes an encoding apart. After the first mistake all is zero.
type decoder struct {
	rest string
	bad  bool
}

func (r *decoder) take(n int) string {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return ""
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *decoder) byte() byte {
	if b := r.take(1); b != "" {
		return b[0]
	}
	return 0
}

func (r *decoder) text() string { return r.take(int(r.byte())) }

// clone is text that does not keep the whole encoding in memory.
func (r *decoder) clone() string { return strings.Clone(r.text()) }

func (r *decoder) duration() time.Duration {
	raw := r.take(8)
	if r.bad {
		return 0
	}
	d := time.Duration(binary.BigEndian.Uint64([]byte(raw)))
	r.bad = d < 0
	return d
}

func (r *decoder) time() time.Time {
	raw := r.take(12)
	if r.bad {
		return time.Time{}
	}
	seconds := int64(binary.BigEndian.Uint64([]byte(raw[:8])))
	nanos := binary.BigEndian.Uint32([]byte(raw[8:]))
	if seconds == noTime {
		r.bad = r.bad || nanos != 0
		return time.Time{}
	}
	if nanos >= uint32(time.Second) {
		r.bad = true
		return time.Time{}
	}
	t := time.Unix(seconds, int64(nanos))
	r.bad = r.bad || t.IsZero() // there is one way to write each time
	return t
}

var errEncoding = errors.New("it is not an encoded factor list")

// decodeFacts reads what encode has written, and nothing else.
func decodeFacts(plain string) (plainFacts, error) {
	r := decoder{rest: plain}
	var f plainFacts
	if r.byte() != factsFormat {
		return f, errEncoding
	}
	f.asked, f.expires = r.time(), r.time()
	f.age, f.keep = r.duration(), r.duration()
	f.other = seen{token: r.clone(), user: r.clone()}
	n := int(r.byte())
	if r.bad || n > maxTypes {
		return plainFacts{}, errEncoding
	}
	for range n {
		f.types = append(f.types, echomfa.FactorType(r.clone()))
	}
	if r.bad || r.rest != "" {
		return plainFacts{}, errEncoding
	}
	return f, nil
}

// splitValue takes a value of Redis apart.
func splitValue(value string) (generation, sealed string, err error) {
	if len(value) > maxValueBytes {
		return "", "", errEncoding
	}
	r := decoder{rest: value}
	format := r.byte()
	generation = r.text()
	r.take(askedBytes)
	if r.bad || format != valueFormat || (generation != "" && !isGeneration(generation)) {
		return "", "", errEncoding
	}
	return generation, r.rest, nil
}

// errForGood is facts that somebody else has given a life without end.
var errForGood = errors.New("they do not expire")

// openValue returns the facts in what was sealed for a key of Redis. Their age is what
// the clocks say, or what is left of their life says: whichever is more.
func openValue(s *secret, sealed, name string, left time.Duration, now time.Time) (plainFacts, error) {
	plain, err := s.open(sealed, name)
	if err != nil {
		return plainFacts{}, err
	}
	f, err := decodeFacts(string(plain))
	if err != nil {
		return plainFacts{}, err
	}
	if left < 0 {
		return plainFacts{}, errForGood
	}
	if age := f.age + max(0, f.keep-left); age > now.Sub(f.asked)+agree {
		f.asked = now.Add(-age)
	}
	return f, nil
}
