// Package fieldvalue reads what the values of several HTTP header fields have in
// common: lists, and weights.
package fieldvalue

import (
	"net/http"
	"slices"
	"strings"
)

// MaxQuality is the quality of what is taken in full.
const MaxQuality = 1000

// Quality reads a qvalue, "0" to "1" with up to three decimals (RFC 9110,
// section 12.4.2), in thousandths.
func Quality(s string) (int, bool) {
	whole, decimals, dotted := strings.Cut(s, ".")
	if (whole != "0" && whole != "1") || len(decimals) > 3 || (dotted && strings.Trim(decimals, "0123456789") != "") {
		return 0, false
	}
	q := 0
	for _, c := range (decimals + "000")[:3] {
		q = q*10 + int(c-'0')
	}
	if whole == "1" {
		return MaxQuality, q == 0
	}
	return q, true
}

// Elements splits at a separator that is not in a quoted string.
func Elements(s string, separator byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i < len(s); i++ {
			switch {
			case quoted && s[i] == '\\':
				i++
			case s[i] == '"':
				quoted = !quoted
			case !quoted && s[i] == separator:
				if !yield(s[start:i]) {
					return
				}
				start = i + 1
			}
		}
		yield(s[start:])
	}
}

// IsToken reports whether s is a token of RFC 9110, section 5.6.2: what a
// header name, a cookie name and an authentication scheme are made of.
func IsToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// AddVary adds names to Vary that are not there yet. Other middleware has its own.
func AddVary(h http.Header, names ...string) {
	have := h["Vary"]
	if len(have) > 0 {
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return hasToken(have, name) })
	}
	if len(names) > 0 {
		h.Add("Vary", strings.Join(names, ", "))
	}
}

func hasToken(lines []string, name string) bool {
	for _, line := range lines {
		for element := range Elements(line, ',') {
			if element = strings.Trim(element, " \t"); element == "*" || strings.EqualFold(element, name) {
				return true
			}
		}
	}
	return false
}
