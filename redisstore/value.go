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
//	format, length of the generation, generation, sealed facts
//
// with the generation of the user under which the facts were kept, by which a
// reader that has no secret, the script, can go on. It is not sealed: who can
// write it can write the generation itself as well.
const valueFormat = '\x01'

// The sealed facts are
//
//	format, asked, expires, generations under the other secret (two), number of types, types
//
// with times as seconds since 1970 and nanoseconds, and a length of one byte
// before each text. The token and the user are not in them: what is sealed is
// bound to their digests.
const factsFormat = '\x01'

// Bounds on facts. The Enforcer's own are 37 types of 64 bytes.
const (
	maxTypes      = 64
	maxTypeBytes  = 255
	maxValueBytes = 20 << 10
)

// ahead is how far in the future the clock of another instance may be.
const ahead = 2 * time.Second

// plainFacts is what is sealed.
type plainFacts struct {
	asked, expires time.Time
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

// reader takes an encoding apart. After the first mistake all is zero.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) take(n int) string {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return ""
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != "" {
		return b[0]
	}
	return 0
}

func (r *reader) text() string { return r.take(int(r.byte())) }

// clone is text that does not keep the whole encoding in memory.
func (r *reader) clone() string { return strings.Clone(r.text()) }

func (r *reader) time() time.Time {
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

var errEncoding = errors.New("it is not an encoding of facts")

// decodeFacts reads what encode has written, and nothing else.
func decodeFacts(plain string) (plainFacts, error) {
	r := reader{rest: plain}
	var f plainFacts
	if r.byte() != factsFormat {
		return f, errEncoding
	}
	f.asked, f.expires = r.time(), r.time()
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
	r := reader{rest: value}
	format := r.byte()
	generation = r.text()
	if r.bad || format != valueFormat || (generation != "" && !isGeneration(generation)) {
		return "", "", errEncoding
	}
	return generation, r.rest, nil
}

// errFuture is facts whose time is yet to come.
var errFuture = errors.New("they were asked for in the future")

// openValue returns the facts in what was sealed for a key of Redis.
func openValue(s *secret, sealed, name string, now time.Time) (plainFacts, error) {
	plain, err := s.open(sealed, name)
	if err != nil {
		return plainFacts{}, err
	}
	f, err := decodeFacts(string(plain))
	if err != nil {
		return plainFacts{}, err
	}
	if f.asked.After(now.Add(ahead)) {
		return plainFacts{}, errFuture
	}
	return f, nil
}
