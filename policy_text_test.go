package echomfa_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
)

func TestPolicyText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"otp":                           "OTP",
		" TOTP Or face ":                "OTP or FACE",
		"OTP and (SMS or EMAIL)":        "OTP and (SMS or EMAIL)",
		"OTP and SMS or OTP and EMAIL":  "OTP and (SMS or EMAIL)",
		"OTP or OTP and SMS":            "OTP",
		"2 of (OTP, SMS, EMAIL)":        "2 of (OTP, SMS, EMAIL)",
		"FACE and 2 of (OTP,SMS,EMAIL)": "FACE and 2 of (OTP, SMS, EMAIL)",
		"1 of (OTP, FACE)":              "OTP or FACE",
		"2 of (OTP, FACE)":              "OTP and FACE",
		`"webauthn" or passkey`:         `PASSKEY or "WEBAUTHN"`,
		`"otp"`:                         "OTP",
		"OTP and SMS or FACE and EMAIL": "OTP and SMS or EMAIL and FACE",
		`exempt "health \"check\""`:     `exempt "health \"check\""`,
		strings.Repeat("(", 32) + "OTP" + strings.Repeat(")", 32): "OTP",
		strings.Repeat("(OTP) or ", 40) + "(OTP)":                 "OTP",
	} {
		p, err := echomfa.ParsePolicy(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, p.String(), text)
	}
}

func TestPolicyTextMistakes(t *testing.T) {
	t.Parallel()
	var types []string
	for i := range 16 {
		types = append(types, fmt.Sprintf(`"T%02d"`, i))
	}
	sixteen := strings.Join(types, " or ")
	rows := map[string]struct {
		offset int
		says   string
	}{
		"":                        {0, "expected a factor type, found the end"},
		"OPT":                     {0, `unknown factor type "OPT": did you mean OTP? (a custom type is quoted)`},
		"OTP or EMIAL":            {7, "did you mean EMAIL?"},
		"faceid":                  {0, `unknown factor type "faceid": did you mean FACE?`},
		"FAZE":                    {0, `unknown factor type "FAZE": did you mean FACE?`},
		"X":                       {0, `unknown factor type "X": the known ones are OTP, SMS, EMAIL, FACE, PASSKEY (a custom type is quoted)`},
		"E-MAIL":                  {0, `unknown factor type "E-MAIL": did you mean EMAIL?`},
		"OTP SMS":                 {4, `expected "and", "or" or the end`},
		"OTP and":                 {7, "expected a factor type, found the end"},
		"(OTP":                    {4, `expected ")", found the end`},
		"OTP)":                    {3, `expected "and", "or" or the end, found ")"`},
		"3 of (OTP, SMS)":         {0, "3 of 2 distinct factor types: a type that is listed twice counts once"},
		"0 of (OTP)":              {0, "0 of 1"},
		"2 OTP":                   {2, `expected "of"`},
		"2 of OTP":                {5, `expected "("`},
		"2 of (OTP SMS)":          {10, `expected ")"`},
		"2 of (OTP,)":             {10, "expected a factor type"},
		"2 of ((":                 {6, "expected a factor type, found"},
		"99999999999999999999 of": {0, "too large"},
		`"unfinished`:             {0, "does not end"},
		`""`:                      {0, "an empty factor type"},
		"\"a\x01\"":               {0, "not printable"},
		"and OTP":                 {0, "expected a factor type, found"},
		"OTP or or":               {7, "expected a factor type, found"},
		"OTP and of":              {8, "expected a factor type, found"},
		"OTP and ,":               {8, "expected a factor type, found"},
		"OTP & SMS":               {4, "unexpected '&': write and"},
		"OTP && SMS":              {4, "unexpected '&': write and"},
		"OTP+SMS":                 {3, "unexpected '+': write and"},
		"OTP | SMS":               {4, "unexpected '|': write or"},
		"OTP || SMS":              {4, "unexpected '|': write or"},
		"'VOICE'":                 {0, `write double quotes, as in "VOICE"`},
		"\u201cVOICE\u201d":       {0, `write double quotes, as in "VOICE"`},
		"OTP; SMS":                {3, "unexpected ';'"},
		`"OTP "`:                  {0, `factor type "OTP " starts or ends with a space`},
		"OTP or \"\u00a0VOICE\"":  {7, "starts or ends with a space"},
		"exempt":                  {6, "expected a reason in quotes"},
		`exempt ""`:               {7, "needs a reason"},
		`OTP or exempt "x"`:       {7, "an exemption stands alone: it cannot be combined"},
		`exempt "x" or OTP`:       {11, "an exemption stands alone: it cannot be combined"},
		strings.Repeat("(", 33):   {32, "more than 32 parentheses"},
		`exempt "x`:               {7, "does not end"},
		`OTP and "x`:              {8, "does not end"},
		`("x`:                     {1, "does not end"},
		`2 "x`:                    {2, "does not end"},
		`2 of (OTP "x`:            {10, "does not end"},
		`2 of (OTP,"x`:            {10, "does not end"},
		`"A" or ` + sixteen:       {7 + len(sixteen), "more than 16 factor types"},
	}
	for text, row := range rows {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := echomfa.ParsePolicy(text)
			require.ErrorIs(t, err, echomfa.ErrInvalidPolicy)
			var syntax *echomfa.PolicySyntaxError
			require.ErrorAs(t, err, &syntax)
			assert.Equal(t, row.offset, syntax.Offset, syntax)
			assert.Contains(t, syntax.Message, row.says)
		})
	}
	longest := "OTP" + strings.Repeat(" ", 256<<10-3)
	_, err := echomfa.ParsePolicy(longest)
	require.NoError(t, err)
	_, err = echomfa.ParsePolicy(longest + " ")
	require.ErrorIs(t, err, echomfa.ErrInvalidPolicy)
}

func TestN6TypeWithoutAConstantIsDeclared(t *testing.T) {
	t.Parallel()
	const custom, alike = ` (a custom type is Custom("%s"))`, `invalid policy: unknown factor type %q: did you mean %s?`
	known := `invalid policy: unknown factor type %q: the known ones are OTP, SMS, EMAIL, FACE, PASSKEY`
	for typ, want := range map[string]string{"OPT": "OTP", "opt": "OTP", "PASSKY": "PASSKEY", "VOICE": "", "WEBAUTHN": ""} {
		says := fmt.Sprintf(known, typ)
		if want != "" {
			says = fmt.Sprintf(alike, typ, want)
		}
		says += fmt.Sprintf(custom, typ)
		bad := echomfa.FactorType(typ)
		for name, p := range map[string]echomfa.Policy{
			"AnyOf":    echomfa.AnyOf(bad),
			"AnyOf, 2": echomfa.AnyOf(echomfa.OTP, bad),
			"AllOf":    echomfa.AllOf(bad, echomfa.Face),
			"AtLeast":  echomfa.AtLeast(2, echomfa.OTP, bad, echomfa.SMS),
			"Or":       echomfa.AnyOf(echomfa.OTP).Or(echomfa.AnyOf(bad)),
		} {
			require.ErrorIs(t, p.Err(), echomfa.ErrInvalidPolicy, name)
			require.ErrorContains(t, p.Err(), says, name)
			assert.False(t, p.Evaluate(echomfa.Factors(bad, echomfa.OTP, echomfa.SMS, echomfa.Face)).Satisfied)
		}
		_, err := echomfa.MiddlewareConfig{Enforcer: table(t, nil), Policy: echomfa.AnyOf(bad)}.ToMiddleware()
		require.ErrorContains(t, err, "echomfa: Policy: ")
	}
	for want, p := range map[string]echomfa.Policy{
		`"VOICE"`:                  echomfa.Custom("voice"),
		`OTP or "VOICE"`:           echomfa.AnyOf(echomfa.OTP).Or(echomfa.Custom("VOICE")),
		`OTP and "VOICE"`:          echomfa.Custom("VOICE").And(echomfa.AnyOf("totp")),
		"OTP and FACE":             echomfa.AllOf("otp", "Face"),
		`2 of (OTP, SMS, "VOICE")`: counted(2, []echomfa.FactorType{"VOICE", echomfa.SMS, echomfa.OTP}),
	} {
		require.NoError(t, p.Err())
		assert.Equal(t, want, p.String())
	}
}

// TestWA7TypesThatNothingMatches has types by which a policy locks everybody out,
// or says what it does not mean.
func TestWA7TypesThatNothingMatches(t *testing.T) {
	t.Parallel()
	const blank = " starts or ends with a space"
	for want, p := range map[string]echomfa.Policy{
		`factor type "OTP "` + blank:                                            echomfa.AnyOf(echomfa.Face, "OTP "),
		`factor type " SMS"` + blank:                                            echomfa.AllOf(" SMS"),
		`factor type "FACE\t"` + blank:                                          echomfa.AtLeast(1, "FACE\t"),
		`factor type "VOICE "` + blank:                                          echomfa.Custom("VOICE "),
		"OTP has a constant: use OTP":                                           echomfa.Custom("OTP"),
		"EMAIL has a constant: use Email":                                       echomfa.Custom("email"),
		"3 of 2 distinct factor types: a type that is listed twice counts once": echomfa.AtLeast(3, echomfa.OTP, "totp", echomfa.SMS),
	} {
		require.ErrorIs(t, p.Err(), echomfa.ErrInvalidPolicy, want)
		require.ErrorContains(t, p.Err(), want)
	}
	require.ErrorContains(t, echomfa.Custom("TOTP").Err(), "OTP has a constant: use OTP")
}

func TestN14OnlyNearMatchesAreSuggested(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"OPT": "OTP", "OTPS": "OTP", "HOTP": "OTP", "TOPT": "OTP", "ttop": "OTP", "TOTPS": "OTP", "SMSS": "SMS", "EMIAL": "EMAIL", "E-MAIL": "EMAIL", "MAIL": "EMAIL", "MAILS": "EMAIL",
		"FAEC": "FACE", "FACEID": "FACE", "PASSKEYS": "PASSKEY", "PASKEY": "PASSKEY", "pass-key": "PASSKEY", "PASS_KEYS": "PASSKEY",
		"WEBAUTHN": "", "FIDO": "", "X": "", "SM": "", "TXT": "", "VOICE": "", "PHONE": "", "PASSWORD": "", "face_id": "", "TOTPAPP": "",
		"AUTHENTICATOR": "", strings.Repeat("OTP", 50_000): "",
	} {
		_, err := echomfa.ParsePolicy(word)
		if want == "" {
			require.ErrorContains(t, err, ": the known ones are OTP, SMS, EMAIL, FACE, PASSKEY (a custom type is quoted)")
			assert.NotContains(t, err.Error(), "did you mean")
			continue
		}
		require.ErrorContains(t, err, ": did you mean "+want+"? (a custom type is quoted)")
	}
}

func FuzzParsePolicy(f *testing.F) {
	for _, seed := range []string{"OTP", "OTP and (SMS or EMAIL)", "2 of (OTP, SMS, EMAIL)", `exempt "x"`, `"A" or OTP`, "((", "OPT", `"`, "2 of ("} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := echomfa.ParsePolicy(text)
		if err != nil {
			require.ErrorIs(t, err, echomfa.ErrInvalidPolicy)
			var syntax *echomfa.PolicySyntaxError
			if errors.As(err, &syntax) {
				require.LessOrEqual(t, syntax.Offset, len(text))
			}
			return
		}
		again, err := echomfa.ParsePolicy(p.String())
		require.NoError(t, err, p.String())
		require.True(t, again.Equal(p))
		require.Equal(t, p.String(), again.String())
	})
}

// TestLongPolicyParsesBack shows that the largest policies have a text that can be
// read.
func TestLongPolicyParsesBack(t *testing.T) {
	t.Parallel()
	var p echomfa.Policy
	for i := range 8 {
		q := anyCustom(echomfa.FactorType(fmt.Sprintf("A%d", i)), echomfa.FactorType(fmt.Sprintf("B%d", i)))
		if i == 0 {
			p = q
		} else {
			p = p.And(q)
		}
	}
	require.NoError(t, p.Err())
	text, err := p.MarshalText()
	require.NoError(t, err)
	var back echomfa.Policy
	require.NoError(t, back.UnmarshalText(text), "%d bytes", len(text))
	assert.True(t, back.Equal(p))
}
