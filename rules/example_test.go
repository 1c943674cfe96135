package rules_test

import (
	"fmt"
	"time"

	"github.com/echomfa/echomfa/rules"
)

func ExampleParse() {
	f, err := rules.Parse([]byte(`
version: 1
default: {require: OTP or FACE}
rules:
  - name: public
    public: sign-in and enrollment
    routes: ["GET /login"]
    under: ["/mfa"]
  - name: payouts
    require: OTP and FACE
    routes: ["POST /payouts/:id"]
`), "mfa.yaml")
	if err != nil {
		panic(err)
	}
	for _, route := range []rules.Route{{Method: "GET", Path: "/mfa/start"}, {Method: "POST", Path: "/payouts/:id"}, {Method: "GET", Path: "/payouts/:id"}} {
		fmt.Println(route.Method, route.Path, "->", f.Match(route.Method, route.Path).Weakest(time.Now()))
	}
	// Output:
	// GET /mfa/start -> public (public)
	// POST /payouts/:id -> payouts (OTP and FACE)
	// GET /payouts/:id -> default (OTP or FACE)
}

// All mistakes are found at once.
func ExampleParse_incorrect() {
	_, err := rules.Parse([]byte(`
version: 1
default: {require: OPT}
rules:
  - name: Admin
    requires: OTP and FACE
    under: ["/admin/*"]
`), "mfa.yaml")
	fmt.Println(err)
	// Output:
	// mfa.yaml:3:20: unknown factor type "OPT": did you mean OTP? (a custom type is quoted)
	// mfa.yaml:5:5: a rule has one of require, public and exempt, not none
	// mfa.yaml:5:11: rule "Admin": a name has lower-case letters, digits and hyphens, and begins with a letter: did you mean admin?
	// mfa.yaml:6:5: unknown key "requires" in a rule: did you mean require?
	// mfa.yaml:7:13: "/admin/*": under has no wildcard: under: ["/admin"] has all routes below it
}

func ExampleDiff() {
	parse := func(policy string) *rules.File {
		f, err := rules.Parse([]byte("version: 1\ndefault: {require: OTP}\nrules:\n  - {name: admin, require: "+policy+", under: [/admin]}\n"), "mfa.yaml")
		if err != nil {
			panic(err)
		}
		return f
	}
	routes := []rules.Route{{Method: "GET", Path: "/"}, {Method: "POST", Path: "/admin/users/:id"}}
	for _, change := range rules.Diff(parse("OTP and FACE"), parse("OTP"), routes, time.Now()) {
		fmt.Println(change)
	}
	// Output: looser: POST /admin/users/:id: admin (OTP and FACE) -> admin (OTP)
}
