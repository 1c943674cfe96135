package enroll

import (
	"encoding/base64"
	"html/template"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rsc.io/qr"
)

// appKey is what an otpauth URI tells an authenticator app. Its form is the "Key URI
// Format" of Google Authenticator, which others have copied; GenAuth documents a sample
// only. The URIs that issuers write differ from it, so that apps read what they can, and
// so does readKeyURI.
type appKey struct {
	Secret    string // base32, in capitals, without padding
	Account   string // as the app lists it, or empty
	Algorithm string // SHA1, SHA256 or SHA512
	Digits    int    // of a code
	Period    int    // how long a code is good, in seconds
	uri       string // in the form that all apps read
}

var (
	totpPrefix   = regexp.MustCompile(`(?i)^\s*otpauth://totp(/|\?)`)
	secretAt     = regexp.MustCompile(`(?i)[?&]secret=`)
	base32Secret = regexp.MustCompile(`^[A-Z2-7]{8,256}$`)
)

// readKeyURI reads an otpauth URI, and reports whether an authenticator app could. The
// label may hold what it should have escaped.
func readKeyURI(text string) (appKey, bool) {
	prefix, secret := totpPrefix.FindStringIndex(text), secretAt.FindStringIndex(text)
	if prefix == nil || secret == nil || secret[0] < prefix[1]-1 {
		return appKey{}, false
	}
	query := strings.LastIndexByte(text[:secret[0]+1], '?')
	if query < prefix[1]-1 {
		return appKey{}, false
	}
	key := appKey{Account: unescaped(text[min(prefix[1], query):query], url.PathUnescape), Algorithm: "SHA1", Digits: 6, Period: 30}
	var settings []string
	ok := true
	number := func(value string, least, most int) int {
		n, err := strconv.Atoi(strings.TrimSpace(value))
		ok = ok && err == nil && least <= n && n <= most
		return n
	}
	for setting := range strings.SplitSeq(text[query+1:], "&") {
		name, value, _ := strings.Cut(setting, "=")
		value = unescaped(value, url.QueryUnescape)
		switch strings.ToLower(name) {
		case "secret":
			key.Secret = strings.ToUpper(strings.TrimRight(plain(value), "="))
			value = key.Secret
		case "algorithm":
			key.Algorithm = strings.ToUpper(strings.ReplaceAll(plain(value), "-", ""))
			value = key.Algorithm
		case "digits":
			key.Digits = number(value, 6, 8)
		case "period":
			key.Period = number(value, 5, 300)
		}
		if name != "" {
			settings = append(settings, strings.ToLower(name)+"="+strings.ReplaceAll(url.QueryEscape(value), "+", "%20"))
		}
	}
	key.uri = "otpauth://totp/" + url.PathEscape(key.Account) + "?" + strings.Join(settings, "&")
	return key, ok && key.Digits != 7 && base32Secret.MatchString(key.Secret) && slices.Contains([]string{"SHA1", "SHA256", "SHA512"}, key.Algorithm)
}

// unescaped returns text without escapes, or unchanged if one of them is malformed.
func unescaped(text string, unescape func(string) (string, error)) string {
	if plain, err := unescape(text); err == nil {
		return plain
	}
	return text
}

// isUsual reports whether apps take for granted how its codes are made.
func (k appKey) isUsual() bool { return k.Algorithm == "SHA1" && k.Digits == 6 && k.Period == 30 }

// link is the URI, for an app on the same device. It begins with otpauth://totp/.
func (k appKey) link() template.URL { return template.URL(k.uri) }

// qrCode returns the URI as a picture in a data URL, or "" if it does not fit one. It is
// drawn here, although GenAuth sends one too: so the picture and the text below it are the
// same secret, and the state has no picture to carry.
func (k appKey) qrCode() template.URL {
	code, err := qr.Encode(k.uri, qr.M)
	if err != nil {
		return ""
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(code.PNG()))
}

// grouped returns a secret in groups of four, as people read and type it.
func grouped(secret string) string {
	var b strings.Builder
	for i, c := range secret {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}
