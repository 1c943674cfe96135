package client

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxToldBytes      = 4096
	maxMessageBytes   = 256
	maxRequestIDBytes = 128

	// minRetryAfter is what "0" and a date in the past stand for: the header is
	// there, so it is not a call to come back at once.
	minRetryAfter = time.Second
	maxRetryAfter = time.Hour
)

// tell returns s for an error: printable characters only, secrets replaced, at
// most limit bytes. The order matters: what was taken out or cut off last could
// otherwise leave a secret, or a part of it.
func tell(s string, secrets []string, limit int) string {
	return cut(redact(cut(printable(s), maxToldBytes), secrets), limit)
}

// printable returns s without what could forge a line of a log or hide text in
// it: control and format characters, separators other than the space.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}

// redact returns s with every secret replaced. Servers shorten and escape what
// they quote: a text that still holds a run of a secret is replaced as a whole.
func redact(s string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, redactedText)
		}
	}
	if sharesRun(s, secrets) || strings.Contains(s, "%") && sharesRun(unescape(s), secrets) {
		return redactedText
	}
	return s
}

// tellingRun is how many bytes of a secret are too many.
const tellingRun = 12

func sharesRun(s string, secrets []string) bool {
	for i := range max(0, len(s)-tellingRun+1) {
		for _, secret := range secrets {
			if strings.Contains(secret, s[i:i+tellingRun]) {
				return true
			}
		}
	}
	return false
}

// unescape decodes what is percent-encoded, and leaves the rest.
func unescape(s string) string {
	var b strings.Builder
	for ; s != ""; s = s[1:] {
		if len(s) > 2 && s[0] == '%' {
			if c, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				s = s[2:]
				continue
			}
		}
		b.WriteByte(s[0])
	}
	return b.String()
}

// cut returns at most limit bytes of s, and no half characters.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// retryAfter reads the Retry-After lines of an answer (RFC 9110, section
// 10.2.3). More than one is a mistake of the sender: the longest counts.
func retryAfter(lines []string, now time.Time) time.Duration {
	var longest time.Duration
	for _, line := range lines {
		longest = max(longest, readRetryAfter(line, now))
	}
	return longest
}

// readRetryAfter reads one line: seconds or a date. It returns 0 for what it
// cannot read, minRetryAfter for zero and for the past, and at most
// maxRetryAfter.
func readRetryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	if strings.Trim(header, "0123456789") == "" {
		seconds, err := strconv.ParseInt(header, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return max(time.Duration(seconds)*time.Second, minRetryAfter)
	}
	date, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), minRetryAfter), maxRetryAfter)
}
