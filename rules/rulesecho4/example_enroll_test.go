package rulesecho4_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/echomfa/echomfa"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/adaptertest"
)

// The enrollment pages ask for what the rule of the page that was wanted asks for.
func Example_enrollmentPages() {
	mfa, err := echomfa.New(echomfa.Config{
		Client: echomfa.FactorListerFunc(adaptertest.Lister), Namespace: "shop", InsecureAnyAudience: true, // of this example
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = mfa.Close() }()
	text, err := rules.Parse([]byte(`
version: 1
default: {require: OTP or FACE}
rules:
  - {name: approvers, require: OTP and FACE, under: [/payouts], when: {role: [approver]}}
`), "mfa.yaml")
	if err != nil {
		log.Fatal(err) //nolint:gocritic // of this example
	}
	file, err := rules.New(text, rules.Config{Enforcer: mfa, Roles: []string{"approver"}})
	if err != nil {
		log.Fatal(err)
	}
	identityOf := func(r *http.Request) (rules.Identity, error) {
		role := r.Header.Get("Role") // of this example: never take it from a header
		if role == "" {
			return rules.Identity{}, echomfa.ErrUnauthenticated
		}
		return rules.Identity{Roles: []string{role}}, nil
	}

	policyOf := func(r *http.Request, returnTo string) (echomfa.Policy, error) {
		who, err := identityOf(r)
		route := "/admin"
		if strings.HasPrefix(returnTo, "/payouts/") { // a guess does no harm here: it opens nothing
			route = "/payouts/:id"
		}
		return file.File().Match("GET", route).Rule(time.Now(), who).Policy(), err
	}

	for _, returnTo := range []string{"", "/payouts/7"} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/mfa", http.NoBody)
		r.Header.Set("Role", "approver")
		policy, err := policyOf(r, returnTo)
		fmt.Println(policy, err)
	}
	// Output:
	// OTP or FACE <nil>
	// OTP and FACE <nil>
}
