package enroll

import (
	"strings"
	"unicode"

	"github.com/echomfa/echomfa/client"
)

// digits returns what people type or paste as a number: without what stands between
// digits, such as blanks, dashes and marks that nobody sees, and with the digits of any
// script as 0 to 9.
func digits(s string) string { return strings.Map(digit, plain(s)) }

// plain returns a line of text without blanks, dashes, and format characters such as those that say in
// which direction text runs, which are copied along with a code.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.In(c, unicode.Zs, unicode.Pd, unicode.Cf, unicode.Mn, unicode.Me) || strings.ContainsRune("\t.()·−・ー", c) {
			return -1
		}
		return c
	}, strings.TrimSpace(s))
}

// digit returns a decimal digit of any script as one of 0 to 9, and anything else unchanged.
// Unicode has the ten digits of a script in a row (The Unicode Standard, section 4.6).
func digit(c rune) rune {
	if c < unicode.MaxASCII || !unicode.Is(unicode.Nd, c) {
		return c
	}
	zero := c
	for unicode.Is(unicode.Nd, zero-1) {
		zero--
	}
	return '0' + (c-zero)%10
}

// typed returns what the user typed as a code.
func (v *visit) typed() string { return digits(v.form.Get("code")) }

// isCode reports whether s can be a code of a type of factor: that of an authenticator app
// has six or eight digits.
func isCode(s string, t client.FactorType) bool {
	if t == client.OTP && len(s) != 6 && len(s) != 8 {
		return false
	}
	return 4 <= len(s) && len(s) <= 10 && strings.Trim(s, "0123456789") == ""
}
