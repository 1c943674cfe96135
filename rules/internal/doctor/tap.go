package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/echomfa/echomfa/client"
)

// tap is a transport that keeps what the client does not tell of an answer.
type tap struct {
	next *http.Transport
	drop string // a header that is not sent

	data       json.RawMessage // of the last answer; nil if it has none
	retryAfter bool            // a 429 came with a Retry-After
	limited    bool            // a 429 came
}

const maxAnswer = client.DefaultMaxBodyBytes

func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.drop != "" {
		r = r.Clone(r.Context())
		r.Header.Del(t.drop)
	}
	t.data = nil
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var answer struct {
		StatusCode int             `json:"statusCode"`
		Data       json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &answer) == nil {
		t.data = answer.Data
	}
	if resp.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusTooManyRequests {
		t.limited = true
		t.retryAfter = t.retryAfter || resp.Header.Get("Retry-After") != ""
	}
	return resp, nil
}

// verdict is what an error of the client says of the question.
type verdict int

const (
	unknown verdict = iota
	accepted
	refused
)

func verdictOf(err error) verdict {
	var partial *client.PartialError
	switch {
	case err == nil, errors.As(err, &partial):
		return accepted
	case errors.Is(err, client.ErrUnauthenticated), errors.Is(err, client.ErrMisconfigured):
		return refused
	}
	return unknown
}

// secrets are what no line may hold.
type secrets []string

// addText adds every text in a JSON value that is long enough to tell something.
func (s *secrets) addText(value any) {
	switch v := value.(type) {
	case string:
		if len(v) >= leastSecret {
			*s = append(*s, v)
		}
	case []any:
		for _, element := range v {
			s.addText(element)
		}
	case map[string]any:
		for _, member := range v {
			s.addText(member)
		}
	}
}

// clean is the second line of defense: the lines are made of this program's own
// words, names and numbers.
func (s secrets) clean(line string) string {
	for _, secret := range s {
		if len(secret) >= leastSecret {
			line = strings.ReplaceAll(line, secret, "[redacted]")
			continue
		}
		// A short app id is a part of other words.
		word := regexp.MustCompile(`(^|[^0-9A-Za-z_-])` + regexp.QuoteMeta(secret) + `($|[^0-9A-Za-z_-])`)
		line = word.ReplaceAllString(line, "${1}[redacted]${2}")
	}
	return line
}

// leastSecret is the length from which a value is looked for inside of words.
const leastSecret = 6
