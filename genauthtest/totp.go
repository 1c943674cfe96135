package genauthtest

import (
	"crypto/hmac"
	"crypto/sha1" // the algorithm of RFC 6238 that authenticator apps use
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// totpPeriod and totpDigits are what GenAuth's otpauth URIs say.
const (
	totpPeriod = 30
	totpDigits = 6
)

// TOTP returns the code of a secret at a time: RFC 6238 with SHA-1, 30 seconds
// and 6 digits, as GenAuth documents it. The secret is base32 as in an otpauth
// URI, with or without padding and spaces, in any case.
func TOTP(secret string, at time.Time) (string, error) {
	clean := strings.ToUpper(strings.TrimRight(strings.ReplaceAll(secret, " ", ""), "="))
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(clean)
	if err != nil || len(key) == 0 {
		return "", fmt.Errorf("genauthtest: the secret of %d characters is not base32", len(secret))
	}
	return hotp(key, at.Unix()/totpPeriod, totpDigits), nil
}

// hotp is RFC 4226 section 5.3.
func hotp(key []byte, counter int64, digits int) string {
	var sum []byte
	unenforced(func() {
		mac := hmac.New(sha1.New, key)
		_ = binary.Write(mac, binary.BigEndian, counter) // a hash never fails to be written
		sum = mac.Sum(nil)
	})
	offset := sum[len(sum)-1] & 0xf
	code := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	mod := uint32(1)
	for range digits {
		mod *= 10
	}
	return fmt.Sprintf("%0*d", digits, code%mod)
}

// matchesTOTP reports whether code is that of now or of one period before or
// after, the window of RFC 6238 section 5.2.
func matchesTOTP(secret, code string, now time.Time) bool {
	for _, drift := range []int64{0, -totpPeriod, totpPeriod} {
		want, err := TOTP(secret, time.Unix(now.Unix()+drift, 0))
		if err == nil && hmac.Equal([]byte(want), []byte(code)) {
			return true
		}
	}
	return false
}

// newOTPSecret returns 16 base32 characters, the length that GenAuth's samples
// have.
func newOTPSecret() string {
	return base32.StdEncoding.EncodeToString(randomBytes(10))
}

// newRecoveryCode returns six groups of four hexadecimal digits, the form of
// GenAuth's samples.
func newRecoveryCode() string {
	h := randomHex(12)
	groups := make([]string, 0, 6)
	for i := 0; i < len(h); i += 4 {
		groups = append(groups, h[i:i+4])
	}
	return strings.Join(groups, "-")
}
