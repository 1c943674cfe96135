package claims_test

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
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
	header := encode(`{"alg":"RS256"}`)
	for _, set := range []string{
		`{}`, `{"sub":"u","aud":"a","exp":1}`, `{"aud":["a","b"],"exp":1.5}`, `{"exp":1e300}`, `{"exp":"1"}`, `{"exp":-1}`,
		`{"sub":"a","sub":"b"}`, `{"AUD":"a"}`, `{"nonce":null,"at_hash":"x"}`, `[]`, `{"sub":7}`,
	} {
		f.Add(header + "." + encode(set) + ".c2ln")
	}
	f.Add("opaque")
	f.Add("opaque===")
	f.Add(encode(`{"alg":"dir","enc":"A128GCM"}`) + "..aXY.Y29udGVudA.dGFn")
	f.Add(encode(`{'alg':'RS256'}`) + ".e30.c2ln")
	f.Add(header + ".e30")
	f.Fuzz(func(t *testing.T, token string) {
		if !client.ValidToken(token) {
			return // nothing else is parsed
		}
		c, err := claims.Parse(token)
		parts := strings.Split(token, ".")
		if err != nil || !c.JWT {
			require.Equal(t, claims.Claims{}, c)
			if err == nil {
				object := readsAsObject(parts[0])
				encrypted := len(parts) == 5 && object["enc"] != nil
				require.False(t, len(parts) == 3 || len(parts) > 1 && object != nil && !encrypted, "it passed for an opaque token")
			}
			return
		}
		require.Len(t, parts, 3)
		for _, part := range parts {
			raw, err := base64.RawURLEncoding.DecodeString(part)
			require.NoError(t, err)
			require.Equal(t, part, encode(string(raw)), "it has another spelling")
		}
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
				t.Fatalf("%q is not an audience", aud)
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

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// TestX22NoJWTPassesForAnOpaqueToken has tokens that a lenient reader takes for
// a JWT, whose audience would not be checked if they passed, and what is opaque:
// GenAuth may issue tokens of any other look.
func TestX22NoJWTPassesForAnOpaqueToken(t *testing.T) {
	t.Parallel()
	header, payload := encode(`{"alg":"RS256"}`), encode(`{"sub":"u","aud":"other"}`)
	rest := "." + payload + ".c2ln"
	for name, token := range map[string]string{
		"no JSON":               encode(`alg`) + rest,
		"a comment in JSON":     encode(`{"alg":"RS256"/**/}`) + rest,
		"single quotes":         encode(`{'alg':'RS256'}`) + rest,
		"a comma at the end":    encode(`{"alg":"RS256",}`) + rest,
		"a byte order mark":     encode("\ufeff"+`{"alg":"RS256"}`) + rest,
		"a zero byte":           encode("{\"alg\":\"RS256\"}\x00") + rest,
		"two objects":           encode(`{"alg":"RS256"}{}`) + rest,
		"an array":              encode(`["RS256"]`) + rest,
		"a member twice":        encode(`{"alg":"RS256","alg":"none"}`) + rest,
		"empty header":          rest,
		"only dots":             "..",
		"words":                 "a.b.c",
		"a foreign character":   header[:3] + "~" + header[3:] + rest,
		"one character more":    header + "A" + rest,
		"nested":                header + "." + encode(header+rest) + ".c2ln",
		"payload of an array":   header + ".W10.c",
		"payload without JSON":  header + "." + encode("x") + ".c2ln",
		"no signature":          header + "." + payload,
		"two headers":           header + "." + header,
		"nothing behind it":     header + ".",
		"four parts":            header + rest + ".d",
		"five, not encrypted":   header + rest + "..",
		"six parts":             encode(`{"alg":"dir","enc":"A128GCM"}`) + "..a.b.c.d",
		"seven parts":           header + rest + "....",
		"two, foreign spelling": header[:3] + "~" + header[3:] + "A.b",
	} {
		c, err := claims.Parse(token)
		require.EqualError(t, err, "the token looks like a JWT and cannot be read as one", name)
		require.Equal(t, claims.Claims{}, c, name)
	}
	for _, token := range []string{
		"opaque", "a.b", "a.b.c.d", "a.b.c.d.e", "a.b.c.d.e.f.g.h", ".", header, "." + header, "MTIz.b", "abc=", "ab==",
	} {
		c, err := claims.Parse(token)
		require.NoError(t, err, token)
		require.Equal(t, claims.Claims{}, c, token)
	}
}

// TestX20OneSpellingOfAToken changes how a good JWT is spelled. A lenient decoder
// reads the same bytes, but each spelling is another key of the cache.
func TestX20OneSpellingOfAToken(t *testing.T) {
	t.Parallel()
	good := encode(`{"alg":"RS256"}`) + "." + encode(`{"sub":"u?>","aud":"a"}`) + "." + encode("\xff\xfe\xfd\xfc")
	c, err := claims.Parse(good)
	require.NoError(t, err)
	require.True(t, c.JWT)
	parts := strings.Split(good, ".")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/~="
	read := base64.RawURLEncoding
	others := []string{strings.ReplaceAll(good, "_", "/"), good + "=", good + "==", good + "===", good + "~"}
	for i, part := range parts {
		for _, last := range alphabet {
			other := part[:len(part)-1] + string(last)
			before, _ := read.DecodeString(part)
			after, err := read.DecodeString(other)
			if err == nil && string(after) == string(before) && other != part {
				changed := append([]string{}, parts...)
				changed[i] = other
				others = append(others, strings.Join(changed, "."))
			}
		}
		for _, more := range []string{"=", "==", "~", "A"} {
			changed := append([]string{}, parts...)
			changed[i] += more
			others = append(others, strings.Join(changed, "."))
		}
	}
	require.Greater(t, len(others), 5+3*4, "there are last characters with bits to spare")
	for _, other := range others {
		if strings.HasPrefix(other, good) && len(other) > len(good) && strings.HasSuffix(other, "A") {
			continue // this is another signature
		}
		_, err := claims.Parse(other)
		require.Error(t, err, other)
	}
	for padding, text := range map[string]string{"=": "", "==": "", "===": "the token ends in more padding than base64 has"} {
		_, err := claims.Parse("opaque" + padding)
		if text == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, text)
	}
}

// TestN15EncryptedTokenIsOpaque shows that a JWE is left to GenAuth, if it is
// one whole and in its one spelling.
func TestN15EncryptedTokenIsOpaque(t *testing.T) {
	t.Parallel()
	header := encode(`{"alg":"RSA-OAEP","enc":"A256GCM","cty":"JWT"}`)
	for token, opaque := range map[string]bool{
		header + ".a2V5.aXY.Y29udGVudA.dGFn":                                true,
		encode(`{"alg":"dir","enc":"A256GCM"}`) + "..aXY.Y29udGVudA.dGFn":   true,
		encode(`{"alg":"dir"}`) + "..aXY.Y29udGVudA.dGFn":                   false,
		encode(`{"alg":"dir","enc":null}`) + "..aXY.Y29udGVudA.dGFn":        false,
		encode(`{"enc":"A","enc":"B"}`) + "..aXY.Y29udGVudA.dGFn":           false,
		header + ".a2V5.aXY.Y29udGVudA.dGFn=":                               false,
		header + ".a2V5.aXZ.Y29udGVudA.dGFn":                                false,
		header + ".a2V5.aXY.Y29udGVudA":                                     false,
		header + ".a2V5.aXY.Y29udGVudA.dGFn.":                               false,
		strings.Replace(header, "y", "y~", 1) + ".a2V5.aXY.Y29udGVudA.dGFn": false,
	} {
		c, err := claims.Parse(token)
		require.Equal(t, opaque, err == nil, token)
		require.Equal(t, claims.Claims{}, c, token)
	}
}

// TestFirstAndLastExp has the times that exp and auth_time may name.
func TestFirstAndLastExp(t *testing.T) {
	t.Parallel()
	for exp, wrong := range map[string]bool{
		"0": false, "-1": true, "-0.5": true, "137438953408": false, "137438953409": true, `"1"`: true,
	} {
		c, err := claims.Parse(encode(`{"alg":"none"}`) + "." + encode(`{"exp":`+exp+`,"auth_time":`+exp+`}`) + ".")
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

// TestClaimsOfAnotherType has claims of a type that RFC 7519 does not allow: the token is not a JWT.
func TestClaimsOfAnotherType(t *testing.T) {
	t.Parallel()
	header := encode(`{"alg":"RS256"}`)
	for _, set := range []string{`{"sub":7}`, `{"sub":["u"]}`, `{"aud":7}`, `{"aud":["a",7]}`, `{"aud":{"a":1}}`} {
		c, err := claims.Parse(header + "." + encode(set) + ".c2ln")
		require.Error(t, err, set)
		require.Equal(t, claims.Claims{}, c, set)
	}
}

// TestOpaqueTokenWithADot has parts that no reader of base64 takes for a header.
func TestOpaqueTokenWithADot(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"*.b", "**.b", "e*JhbGciOiJSUzI1NiJ9.b", "a.b.c.d"} {
		c, err := claims.Parse(token)
		require.NoError(t, err, token)
		require.False(t, c.JWT, token)
	}
}
