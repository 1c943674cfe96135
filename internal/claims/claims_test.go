package claims_test

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/internal/claims"
)

// readsAsObject is a careless reading of a part of a JWT.
func readsAsObject(part string) map[string]any {
	part = strings.TrimRight(part, "=")
	for _, encoding := range []*base64.Encoding{base64.RawURLEncoding, base64.RawStdEncoding} {
		raw, err := encoding.DecodeString(part)
		if err != nil {
			continue
		}
		var object map[string]any
		decoder := json.NewDecoder(strings.NewReader(string(raw)))
		decoder.UseNumber()
		if json.Valid(raw) && decoder.Decode(&object) == nil && object != nil {
			return object
		}
	}
	return nil
}

// FuzzClaims compares the claims of a token with a careless reading of them:
// whatever may be read as a JWT is one or an error, no claim is invented, and exp
// does nothing but end what is kept of the token.
func FuzzClaims(f *testing.F) {
	encode := base64.RawURLEncoding.EncodeToString
	header := encode([]byte(`{"alg":"RS256"}`))
	for _, set := range []string{
		`{}`, `{"sub":"u","aud":"a","exp":1}`, `{"aud":["a","b"],"exp":1.5}`, `{"exp":1e300}`, `{"exp":"1"}`, `{"exp":-1}`,
		`{"sub":"a","sub":"b"}`, `{"AUD":"a"}`, `{"nonce":null,"at_hash":"x"}`, `[]`, `{"sub":7}`,
	} {
		f.Add(header + "." + encode([]byte(set)) + ".c2ln")
	}
	f.Add("opaque")
	f.Add(header + ".e30")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := claims.Parse(token)
		parts := strings.Split(token, ".")
		if err != nil || !c.JWT {
			require.Equal(t, claims.Claims{}, c)
			if err == nil {
				require.False(t, len(parts) > 1 && readsAsObject(parts[0]) != nil, "it passed for an opaque token")
			}
			return
		}
		require.Len(t, parts, 3)
		said := readsAsObject(parts[1])
		require.NotNil(t, said)
		subject, _ := said["sub"].(string)
		require.Equal(t, subject, c.Subject)
		for _, audience := range c.Audience {
			switch aud := said["aud"].(type) {
			case string:
				require.Equal(t, aud, audience)
			case []any:
				require.Contains(t, append(aud, ""), any(audience)) // a null is read as ""
			default:
				t.Fatalf("%q is no audience", aud)
			}
		}
		require.Equal(t, said["nonce"] != nil || said["at_hash"] != nil, c.IDToken)
		checkExp(t, &c, said["exp"])
	})
}

// checkExp checks that facts about a token are kept until its exp at most.
func checkExp(t *testing.T, c *claims.Claims, exp any) {
	t.Helper()
	now := time.Now()
	if exp == nil {
		require.False(t, c.BadExp)
		require.True(t, c.Expires.IsZero())
		require.True(t, c.Storable(now))
		return
	}
	number, isNumber := exp.(json.Number)
	seconds, err := strconv.ParseFloat(string(number), 64)
	if !isNumber || err != nil || seconds < 0 || c.BadExp {
		require.False(t, c.Storable(now), "%v", exp)
		require.False(t, c.Storable(time.Time{}), "%v", exp)
		return
	}
	end := time.Unix(int64(seconds)+1, 0) // exp rounded up, or a second more
	require.False(t, end.Before(c.Expires))
	require.False(t, c.Storable(end))
	require.True(t, c.Storable(c.Expires.Add(-1)), "it serves until then")
}

// TestWhatIsNoJWT shows that dots alone make no JWT, and nor does a JSON object
// without a dot: GenAuth may issue opaque tokens of either look.
func TestWhatIsNoJWT(t *testing.T) {
	t.Parallel()
	object := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	for _, token := range []string{"opaque", "a.b", "a.b.c", "a.b.c.d", ".", object, "." + object} {
		c, err := claims.Parse(token)
		require.NoError(t, err, token)
		require.Equal(t, claims.Claims{}, c, token)
	}
	for _, token := range []string{object + ".", object + "." + object, object + ".e30.c.d", object + ".e30=.c", object + ".W10.c"} {
		_, err := claims.Parse(token)
		require.EqualError(t, err, "the token looks like a JWT and cannot be read as one", token)
	}
}

// TestFirstAndLastExp has the times that exp and auth_time may name.
func TestFirstAndLastExp(t *testing.T) {
	t.Parallel()
	for exp, wrong := range map[string]bool{
		"0": false, "-1": true, "-0.5": true, "137438953408": false, "137438953409": true, `"1"`: true,
	} {
		encode := base64.RawURLEncoding.EncodeToString
		c, err := claims.Parse(encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(`{"exp":`+exp+`,"auth_time":`+exp+`}`)) + ".")
		require.NoError(t, err)
		require.Equal(t, c.BadExp, wrong, exp)
		if wrong {
			require.True(t, c.AuthTime.IsZero(), exp)
			continue
		}
		require.Equal(t, exp, strconv.FormatInt(c.Expires.Unix(), 10))
		require.Equal(t, c.Expires, c.AuthTime)
	}
}
