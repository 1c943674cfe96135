package doctor

import (
	"fmt"
	"strings"
)

// Report is what a doctor tells.
type Report struct {
	// Good reports whether the settings are right and, with a token, whether GenAuth
	// answers for it and the middleware takes it, too.
	Good bool `json:"good"`
	// Problem says what is wrong with the settings, and Answer how GenAuth answered.
	Problem string `json:"problem,omitempty"`
	Answer  string `json:"answer,omitempty"`
	// Token is about the token. It is nil without one, and for wrong settings.
	Token *Token `json:"token,omitempty"`
	// Rows has one for each point that GenAuth's documents leave open.
	Rows []Row `json:"rows"`
}

// Token is what a token is, and how it fares.
type Token struct {
	// Kind, Claims and Life are what it says of itself, without values that tell of a user.
	Kind   string `json:"kind"`
	Claims string `json:"claims,omitempty"`
	Life   string `json:"life"`
	// Listed reports whether GenAuth has listed the user's factors.
	Listed bool `json:"listed"`
	// Factors are the types in the list.
	Factors string `json:"factors,omitempty"`
	// Answer is how GenAuth answered if it has not listed them.
	Answer string `json:"answer,omitempty"`
	// Rejected says why the middleware answers 401 to the token.
	Rejected string `json:"rejected,omitempty"`
}

// Row is one point that GenAuth's documents leave open, as docs/genauth-setup.md names it,
// and what this GenAuth does.
type Row struct {
	Point string `json:"point"`
	// Determined is false if this token cannot settle the point, or not all of it.
	Determined bool   `json:"determined"`
	Finding    string `json:"finding"`
}

// notDetermined begins the finding of a point that this token cannot settle.
const notDetermined = "not determined: "

// cleaned returns the report without secrets.
func (r Report) cleaned(s secrets) Report {
	r.Problem, r.Answer = s.clean(r.Problem), s.clean(r.Answer)
	if r.Token != nil {
		for _, text := range []*string{&r.Token.Kind, &r.Token.Claims, &r.Token.Life, &r.Token.Factors, &r.Token.Answer, &r.Token.Rejected} {
			*text = s.clean(*text)
		}
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		row.Finding = s.clean(row.Finding)
		row.Determined = !strings.Contains(row.Finding, notDetermined)
	}
	return r
}

// Text is the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	if r.Problem != "" {
		fmt.Fprintf(&b, "check: failed: %s", r.Problem)
		if r.Answer != "" {
			fmt.Fprintf(&b, " (%s)", r.Answer)
		}
		return b.String() + "\n"
	}
	fmt.Fprintln(&b, "check: good: this is a GenAuth, and it does not deny the application")
	t := r.Token
	if t == nil {
		return b.String()
	}
	fmt.Fprintf(&b, "token: %s\n", t.Kind)
	if t.Claims != "" {
		fmt.Fprintf(&b, "claims: %s\n", t.Claims)
	}
	fmt.Fprintf(&b, "life of the token: %s\n", t.Life)
	if t.Listed {
		fmt.Fprintf(&b, "list-enrolled-factors: accepted: %s\n", t.Factors)
	} else {
		fmt.Fprintf(&b, "list-enrolled-factors: failed: %s\n", t.Answer)
	}
	for _, row := range r.Rows {
		separator := ": "
		if strings.HasSuffix(row.Point, "?") {
			separator = " "
		}
		fmt.Fprintf(&b, "%s%s%s\n", row.Point, separator, row.Finding)
	}
	if t.Rejected != "" {
		fmt.Fprintf(&b, "echomfa rejects this token: %s\n", t.Rejected)
	}
	return b.String()
}
