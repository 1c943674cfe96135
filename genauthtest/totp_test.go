package genauthtest_test

import (
	"encoding/base32"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/genauthtest"
)

// The vectors of RFC 6238 appendix B for SHA-1, by their last six digits.
func TestTOTPVectors(t *testing.T) {
	t.Parallel()
	secret := base32.StdEncoding.EncodeToString([]byte("12345678901234567890"))
	for at, want := range map[int64]string{
		59:          "287082",
		1111111109:  "081804",
		1111111111:  "050471",
		1234567890:  "005924",
		2000000000:  "279037",
		20000000000: "353130",
	} {
		got, err := genauthtest.TOTP(secret, time.Unix(at, 0))
		require.NoError(t, err)
		assert.Equal(t, want, got, "at %d", at)
	}
}

func TestTOTPSecretForms(t *testing.T) {
	t.Parallel()
	at := time.Unix(59, 0)
	want, err := genauthtest.TOTP("MZXW6YTB", at)
	require.NoError(t, err)
	for _, secret := range []string{"mzxw6ytb", "MZXW 6YTB", "MZXW6YTB===="} {
		got, err := genauthtest.TOTP(secret, at)
		require.NoError(t, err, secret)
		assert.Equal(t, want, got, secret)
	}
	for _, secret := range []string{"", "not base32!", "M"} {
		_, err := genauthtest.TOTP(secret, at)
		require.Error(t, err, secret)
		if secret != "" {
			assert.NotContains(t, err.Error(), "\""+secret, "the secret stays out of the error")
		}
	}
}
