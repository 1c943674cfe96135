package enroll

import (
	"encoding/base64"
	"html/template"
	"net/url"
	"regexp"
	"strings"

	"rsc.io/qr"
)

var base32Secret = regexp.MustCompile(`^[A-Z2-7]{8,256}$`)

// secretOf returns the shared secret of an otpauth URI (the "Key URI Format" of
// authenticator apps), and whether the URI is one that they can read.
func secretOf(keyURI string) (string, bool) {
	u, err := url.Parse(keyURI)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" {
		return "", false
	}
	secret := strings.ToUpper(strings.TrimRight(u.Query().Get("secret"), "="))
	return secret, base32Secret.MatchString(secret)
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

// qrCode returns an otpauth URI as a picture in a data URL, or "" if it does not
// fit one. It is drawn here, although GenAuth sends one too: so the picture and
// the text below it are the same secret, and the state has no picture to carry.
func qrCode(keyURI string) template.URL {
	code, err := qr.Encode(keyURI, qr.M)
	if err != nil {
		return ""
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(code.PNG()))
}
