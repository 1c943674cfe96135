package echomfa_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
)

// truth is a policy as a table: whether each subset of the types satisfies it.
// It shares nothing with the representation that it checks.
type truth func(has func(echomfa.FactorType) bool) bool

func universe() []echomfa.FactorType {
	return []echomfa.FactorType{echomfa.OTP, echomfa.SMS, echomfa.Email, echomfa.Face, "WEBAUTHN", "X-KEY"}
}

// subsets calls yield for every subset of the universe.
func subsets(yield func(enrolled []echomfa.FactorType)) {
	all := universe()
	for mask := range 1 << len(all) {
		var enrolled []echomfa.FactorType
		for i, t := range all {
			if mask&(1<<i) != 0 {
				enrolled = append(enrolled, t)
			}
		}
		yield(enrolled)
	}
}

func (f truth) of(enrolled []echomfa.FactorType) bool {
	return f(func(t echomfa.FactorType) bool { return slices.Contains(enrolled, t) })
}

// counted is AtLeast for any types, in the text that declares them.
func counted(n int, types []echomfa.FactorType) echomfa.Policy {
	p, err := echomfa.ParsePolicy(countedText(n, types))
	if err != nil {
		panic(err)
	}
	return p
}

func countedText(n int, types []echomfa.FactorType) string {
	words := make([]string, len(types))
	for i, t := range types {
		words[i] = fmt.Sprintf("%q", t)
	}
	return fmt.Sprintf("%d of (%s)", n, strings.Join(words, ", "))
}

// anyCustom is AnyOf for types with and without a constant.
func anyCustom(types ...echomfa.FactorType) echomfa.Policy {
	p := oneOf(types[0])
	for _, t := range types[1:] {
		p = p.Or(oneOf(t))
	}
	return p
}

func oneOf(t echomfa.FactorType) echomfa.Policy {
	if p := echomfa.AnyOf(t); p.Err() == nil {
		return p
	}
	return echomfa.Custom(t)
}

// random makes a policy and its truth.
func random(r *rand.Rand, depth int) (echomfa.Policy, truth) {
	if depth == 0 || r.IntN(4) == 0 {
		types := universe()
		r.Shuffle(len(types), func(i, j int) { types[i], types[j] = types[j], types[i] })
		types = types[:1+r.IntN(len(types))]
		n := 1 + r.IntN(len(types))
		return counted(n, types), func(has func(echomfa.FactorType) bool) bool {
			count := 0
			for _, t := range types {
				if has(t) {
					count++
				}
			}
			return count >= n
		}
	}
	p, f := random(r, depth-1)
	q, g := random(r, depth-1)
	if r.IntN(2) == 0 {
		return p.And(q), func(has func(echomfa.FactorType) bool) bool { return f(has) && g(has) }
	}
	return p.Or(q), func(has func(echomfa.FactorType) bool) bool { return f(has) || g(has) }
}

// TestT03PolicyAgainstBruteForce compares evaluation, shortfall, equality,
// implication and text with the truth over every subset.
func TestT03PolicyAgainstBruteForce(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	lastPolicy, lastTruth := random(r, 2)
	for range 300 {
		p, f := random(r, 3)
		require.NoError(t, p.Err())
		parsed, err := echomfa.ParsePolicy(p.String())
		require.NoError(t, err, p)
		require.True(t, parsed.Equal(p), "%s became %s", p, parsed)

		implies, implied := true, true
		subsets(func(enrolled []echomfa.FactorType) {
			want := f.of(enrolled)
			got := p.Evaluate(echomfa.Factors(enrolled...))
			require.Equal(t, want, got.Satisfied, "%s with %v", p, enrolled)
			checkMissing(t, f, enrolled, got)
			implies = implies && (!want || lastTruth.of(enrolled))
			implied = implied && (want || !lastTruth.of(enrolled))
		})
		require.Equal(t, implies, p.Implies(lastPolicy), "%s implies %s", p, lastPolicy)
		require.Equal(t, implies && implied, p.Equal(lastPolicy))
		lastPolicy, lastTruth = p, f
	}
}

// checkMissing checks that each alternative suffices, that none can do without
// one of its types, and that none is missing.
func checkMissing(t *testing.T, f truth, enrolled []echomfa.FactorType, got echomfa.Evaluation) {
	t.Helper()
	if got.Satisfied {
		require.Nil(t, got.Missing)
		return
	}
	require.NotEmpty(t, got.Missing)
	for _, add := range got.Missing {
		require.True(t, f.of(append(slices.Clone(enrolled), add...)))
		for i := range add {
			less := slices.Delete(slices.Clone(add), i, i+1)
			require.False(t, f.of(append(slices.Clone(enrolled), less...)))
		}
	}
	subsets(func(add []echomfa.FactorType) {
		if !f.of(append(slices.Clone(enrolled), add...)) {
			return
		}
		require.True(t, slices.ContainsFunc(got.Missing, func(m []echomfa.FactorType) bool {
			return !slices.ContainsFunc(m, func(t echomfa.FactorType) bool { return !slices.Contains(add, t) })
		}), "%v would do", add)
	})
}

// TestPolicyText has texts and what they are written back as.
// TestPolicyTextMistakes has texts that are not policies, and where and why.
// TestN6TypeWithoutAConstantIsDeclared shows that a policy made in Go is held to
// what ParsePolicy asks for: a type without a constant is declared by Custom.
// TestN14OnlyNearMatchesAreSuggested tells a misspelling from another word.
// TestInvalidPolicies shows that they satisfy, equal and imply nothing, and that
// combining does not heal them.
func TestInvalidPolicies(t *testing.T) {
	t.Parallel()
	many := make([]echomfa.FactorType, 17)
	for i := range many {
		many[i] = echomfa.FactorType(fmt.Sprintf("T%02d", i))
	}
	require.NoError(t, echomfa.Custom(echomfa.FactorType(strings.Repeat("x", 64))).Err())
	require.NoError(t, anyCustom(many[:16]...).Err())
	_, err := echomfa.ParsePolicy(countedText(8, many[:16]))
	require.ErrorContains(t, err, "more than 256 alternatives")
	for name, p := range map[string]echomfa.Policy{
		"zero":           {},
		"AllOf nothing":  echomfa.AllOf(),
		"AnyOf nothing":  echomfa.AnyOf(),
		"AtLeast 0":      echomfa.AtLeast(0, echomfa.OTP),
		"AtLeast -1":     echomfa.AtLeast(-1, echomfa.OTP),
		"AtLeast 2 of 1": echomfa.AtLeast(2, echomfa.OTP, "totp"),
		"an empty type":  echomfa.AnyOf(echomfa.OTP, ""),
		"custom: empty":  echomfa.Custom(""),
		"custom: long":   echomfa.Custom(echomfa.FactorType(strings.Repeat("x", 65))),
		"custom: text":   echomfa.Custom("\xff"),
		"N6 misspelled":  echomfa.AnyOf("OPT"),
		"a control":      echomfa.AnyOf("A\n"),
		"N6 invisible":   echomfa.Custom("VOICE\u200b"),
		"N6 no-break":    echomfa.Custom("VOICE\u00a0"),
		"N6 blank end":   echomfa.Custom("VOICE "),
		"N6 blank start": echomfa.Custom(" OTP"),
		"a long type":    echomfa.AllOf(echomfa.FactorType(strings.Repeat("x", 65))),
		"17 types":       anyCustom(many...),
		"17 types by Or": anyCustom(many[:16]...).Or(anyCustom(many[16])),
		"33 types by Or": anyCustom(many[:16]...).Or(anyCustom("A1", "A2", "A3", "A4", "A5", "A6", "A7")),
		"sets by And":    anyCustom(many[:5]...).And(anyCustom(many[5:10]...)).And(anyCustom(many[10:15]...)).And(anyCustom(many[0:1]...).Or(counted(4, many[1:9]))),
		"324 sets": anyCustom(many[:3]...).And(anyCustom(many[3:6]...)).And(anyCustom(many[6:9]...)).
			And(anyCustom(many[9:12]...)).And(anyCustom(many[12:16]...)),
		"16 types and OTP": anyCustom(many[:16]...).Or(otp()),
		"no reason":        echomfa.Exempt(" "),
		"exempt And":       echomfa.Exempt("x").And(otp()),
		"exempt Or":        otp().Or(echomfa.Exempt("x")),
		"invalid And":      otp().And(echomfa.Policy{}),
		"invalid, named":   echomfa.AnyOf().Named("n"),
		"zero, named":      echomfa.Policy{}.Named("n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, p.Err(), echomfa.ErrInvalidPolicy)
			result := p.Evaluate(echomfa.Factors(universe()...))
			assert.False(t, result.Satisfied)
			assert.Nil(t, result.Missing)
			same := p
			assert.False(t, p.Equal(same))
			assert.False(t, p.Implies(otp()))
			assert.False(t, otp().Implies(p))
			_, err := echomfa.ParsePolicy(p.String())
			require.Error(t, err, "its text must not parse")
			_, err = p.MarshalText()
			require.Error(t, err)
			_, exempt := p.IsExempt()
			assert.False(t, exempt)
		})
	}
}

// TestAllOf shows that each of the types is asked for, and a repeated one once.
func TestAllOf(t *testing.T) {
	t.Parallel()
	p := echomfa.AllOf(echomfa.OTP, "face", "TOTP")
	require.NoError(t, p.Err())
	assert.Equal(t, "OTP and FACE", p.String())
	assert.True(t, p.Evaluate(echomfa.Factors(echomfa.OTP, echomfa.Face, echomfa.SMS)).Satisfied)
	assert.Equal(t, echomfa.Evaluation{Missing: [][]echomfa.FactorType{{echomfa.Face}}}, p.Evaluate(echomfa.Factors(echomfa.OTP)))
	assert.Equal(t, echomfa.Evaluation{Missing: [][]echomfa.FactorType{{echomfa.OTP, echomfa.Face}}}, p.Evaluate(echomfa.FactorSet{}))
}

// TestT02WeakPoliciesAreLogged shows which policies the operator is warned of:
// those that a factor which nobody enrolled may satisfy alone.
func TestT02WeakPoliciesAreLogged(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"OTP or SMS": {"SMS"}, "SMS or EMAIL": {"SMS", "EMAIL"}, "OTP and SMS": nil, "2 of (SMS, EMAIL, OTP)": nil, "FACE": nil,
		`exempt "public"`: nil,
	} {
		p, err := echomfa.ParsePolicy(text)
		require.NoError(t, err)
		var log bytes.Buffer
		table(t, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }).Require(p)
		assert.Equal(t, len(want), strings.Count(log.String(), "level=WARN"), text)
		for _, factor := range want {
			assert.Contains(t, log.String(), "factor="+factor, text)
		}
	}
}

// TestT02PolicyNamesItsTypes shows that implicit factors satisfy only a policy
// that names them.
func TestT02PolicyNamesItsTypes(t *testing.T) {
	t.Parallel()
	implicit := echomfa.Factors(echomfa.SMS, echomfa.Email)
	assert.False(t, echomfa.AnyOf(echomfa.OTP, echomfa.Face).Evaluate(implicit).Satisfied)
	assert.True(t, echomfa.AnyOf(echomfa.OTP, echomfa.SMS).Evaluate(implicit).Satisfied)
}

// TestPolicyJSON shows that a policy can be a member of a configuration file,
// and that a bad text leaves it as it was.
func TestPolicyJSON(t *testing.T) {
	t.Parallel()
	type config struct{ Policy echomfa.Policy }
	var c config
	require.NoError(t, json.Unmarshal([]byte(`{"Policy":"OTP or FACE"}`), &c))
	text, err := json.Marshal(c)
	require.NoError(t, err)
	assert.JSONEq(t, `{"Policy":"OTP or FACE"}`, string(text))
	require.Error(t, json.Unmarshal([]byte(`{"Policy":"OPT"}`), &c))
	assert.Equal(t, "OTP or FACE", c.Policy.String())
}

// TestPolicyNamesAndTypes shows what does not count.
func TestPolicyNamesAndTypes(t *testing.T) {
	t.Parallel()
	p := echomfa.AnyOf("face", "totp").Or(echomfa.Custom("x")).Named("admin")
	assert.Equal(t, "admin", p.Name())
	assert.Equal(t, []echomfa.FactorType{echomfa.OTP, echomfa.Face, "X"}, p.Types())
	assert.True(t, p.Equal(echomfa.Custom("X").Or(echomfa.AnyOf(echomfa.OTP, echomfa.Face))))
	assert.Empty(t, echomfa.Policy{}.Name())
	assert.Nil(t, echomfa.Policy{}.Types())
	reason, ok := echomfa.Exempt("because").IsExempt()
	assert.True(t, ok)
	assert.Equal(t, "because", reason)
	assert.True(t, echomfa.Exempt("a").Equal(echomfa.Exempt("b")))
	assert.True(t, otp().Implies(echomfa.Exempt("a")))
	assert.False(t, echomfa.Exempt("a").Implies(otp()))
}

// TestFactorSet has the set's own rules.
func TestFactorSet(t *testing.T) {
	t.Parallel()
	s := echomfa.Factors("x", "totp", "", "face", "X", "b")
	assert.Equal(t, []echomfa.FactorType{echomfa.OTP, echomfa.Face, "B", "X"}, s.Types())
	assert.Equal(t, 4, s.Len())
	assert.Equal(t, "OTP,FACE,B,X", s.String())
	assert.True(t, s.Has("TOTP"))
	assert.True(t, s.Has(echomfa.Face))
	assert.True(t, s.Has("x"))
	assert.False(t, s.Has("y"))
	assert.False(t, s.Has(echomfa.SMS))
	assert.True(t, s.Equal(echomfa.Factors("B", "X", "FACE", "OTP")))
	for _, other := range []echomfa.FactorSet{echomfa.Factors("OTP"), echomfa.Factors("OTP", "FACE"), echomfa.Factors("B", "X"), {}} {
		assert.False(t, s.Equal(other), other)
	}
	assert.Equal(t, "none", echomfa.FactorSet{}.String())
	assert.Nil(t, echomfa.FactorSet{}.Types())
}

// FuzzParsePolicy shows that no text panics, that a policy's own text makes an
// equal one, and that an error names a place in the text.
