package client_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// TestT12FlippedBitsEnrollNothing damages answers of a user without OTP, by one
// bit to eight. None makes OTP appear, and what still counts as a success is
// one by an independent reading of the same bytes.
func TestT12FlippedBitsEnrollNothing(t *testing.T) {
	t.Parallel()
	bodies := []string{
		golden(t, "list-enrolled-factors", "documented-object.json"),
		strings.Replace(golden(t, "list-enrolled-factors", "mixed.json"), `"OTP"`, `"VOICE"`, 1),
		`{"statusCode":200,"data":[]}`,
		`{"statusCode":401,"apiCode":2020,"message":"no","data":[{"factorId":"1","factorType":"SMS"}]}`,
	}
	random := rand.New(rand.NewPCG(3, 12))
	believed := 0
	for n := range 20_000 {
		body := []byte(bodies[n%len(bodies)])
		for range 1 + random.IntN(8) {
			body[random.IntN(len(body))] ^= 1 << random.IntN(8)
		}
		c := newFakeClient(t, answer(200, nil, string(body)))
		factors, err := c.ListEnrolledFactors(t.Context(), testToken)
		for _, factor := range factors {
			require.NotEqual(t, client.OTP, factor.Type, "%q", body)
		}
		if err == nil {
			believed++
			rows, ok := saysFactors(200, body)
			require.True(t, ok, "%q", body)
			require.Len(t, factors, rows)
		}
	}
	assert.Greater(t, believed, 500, "what is never believed shows nothing")
}
